"""Who counts: a home's own name, so that several homes may share one store."""

import secrets
from pathlib import Path

from models.directory import replace_file

FILE = Path("drift") / "id"
"""Below CUVEE_HOME."""


def identity_of(home: Path) -> str:
    """Return the home's name, made when it is asked for first; raise `OSError`."""
    path = home / FILE
    try:
        if told := path.read_text(encoding="ascii"):
            return told
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    told = secrets.token_hex(8)
    replace_file(path, told.encode("ascii"))
    return told
