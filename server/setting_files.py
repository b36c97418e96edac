"""Files that settings name, read before anything is started: `python -m server.setting_files`.

A process of its own, since what reads them needs numpy, which the master does without.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext

from features.errors import InputError
from features.named_file import named_by
from models.rollout import read_rollout
from models.rules.parse import read_rules
from models.signature import TrustedKeys
from server.settings import VARIABLES, Settings


def mistakes(settings: Settings) -> Iterator[str]:
    """Yield why a worker could not start with each file that it could not start with."""
    for field, path, read in (
        ("rollout", settings.rollout, read_rollout),
        ("rules", settings.rules, read_rules),
        (None, settings.model_public_key, TrustedKeys.of_file),  # names its variable
    ):
        try:
            with named_by(VARIABLES[field].name) if field else nullcontext():
                if path is not None:
                    read(path)
        except InputError as error:
            yield str(error)


if __name__ == "__main__":
    told = [f"error: {each}" for each in mistakes(Settings.from_environment(os.environ))]
    sys.exit("\n".join(told) or None)
