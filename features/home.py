"""Where Cuvée keeps its things: the directory that `CUVEE_HOME` names."""

import os
from pathlib import Path
from shlex import quote

from features.errors import InputError

DEFAULT_HOME = "var"

TRAINING = "training"
"""Below a home: what a training made so far. Nobody needs it once that has ended."""

LOAD_TEST = ".loadtest-"
"""What folders of a home begin with in which a load test has a copy of it."""


def home_directory() -> Path:
    """Return `CUVEE_HOME`, or `var` where it is unset or empty.

    Raises `InputError` where that is a file.
    """
    home = Path(os.environ.get("CUVEE_HOME") or DEFAULT_HOME)
    if home.is_file():
        raise InputError(f"CUVEE_HOME: expected a directory, got the file {str(home)!r}")
    return home


def command_in(home: Path, command: str) -> str:
    """Return what to say to a shell for `command` to mean this home, whatever it means now."""
    return f"CUVEE_HOME={quote(str(home))} {command}"
