"""What homes that share a registry tell each other of the model on trial.

trials/KEY.HOME  all that one home counted of a step, as often as it looks; KEY is the step's

Each home adds up what all told, so that they judge by the same figures, and a step asks for as
many requests of all of them together. What a home told stays if the home is gone.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from features.lock import locked
from models.canary import Canary
from models.canary_counts import CanaryCounts, counts_folder, keep_counts, own_counts
from models.directory import replace_file
from models.storage import Storage

TRIALS = "trials"
_NAME = "name"
_TOLD = "told"
_HOME = re.compile(r"[0-9a-f]{16}")


def tell_counts(storage: Storage, home: Path, canary: Canary) -> None:
    """Tell other homes what `home` counted of a step, if a worker of it counts; raise `OSError`."""
    folder = counts_folder(home, canary)
    if not folder.is_dir():
        return
    told, name = folder / _TOLD, _name(folder)
    with locked(folder):
        replace_file(told, own_counts(home, canary).to_bytes())
    storage.upload(told, f"{TRIALS}/{canary.key}.{name}")


def hear_counts(storage: Storage, home: Path, canary: Canary) -> None:
    """Note in `home` what other homes told of a step; raise `OSError`."""
    folder = counts_folder(home, canary)
    if not folder.is_dir():
        return
    own = _name(folder)
    for name in _told(storage, canary):
        other = name.rpartition(".")[2]
        if other != own and _HOME.fullmatch(other):
            with suppress(FileNotFoundError):  # removed meanwhile, or the step is over here
                content = storage.read(f"{TRIALS}/{name}")
                if CanaryCounts.from_bytes(content) is not None:
                    keep_counts(home, canary, other, content)


def over(storage: Storage, canary: Canary | None, before: float) -> dict[str, int]:
    """Return the sizes of what was told until a moment (seconds since 1970) of steps now over."""
    present = () if canary is None else tuple(_told(storage, canary))
    return {
        name: entry.size
        for name, entry in storage.entries(TRIALS).items()
        if name not in present and entry.written < before
    }


def _told(storage: Storage, canary: Canary) -> Iterator[str]:
    yield from (each for each in storage.entries(TRIALS) if each.startswith(f"{canary.key}."))


def _name(folder: Path) -> str:
    """Return what this home is called in this step: a name of its own, gone where the counts are.

    A host's name would not do: two homes may be on one, and a home that lost its counts must not
    replace those that it told before.
    """
    path = folder / _NAME
    with locked(folder):
        if not path.exists():
            replace_file(path, secrets.token_hex(8).encode())
        return path.read_text()
