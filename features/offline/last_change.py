"""The version of a table that changed its rows last, by the tail of its log.

Merged files, properties and vacuums are commits too, and leave all rows as they are. Before the
log forgets which commits were which a property of the table notes it: `12 as of 15` says that
versions 12 to 15 have the same rows.
"""

import json
import re
from pathlib import Path

from deltalake import DeltaTable

NOTE = "cuvee.lastChange"
"""The property."""

_NOTED = re.compile(r"(\d+) as of (\d+)")
_OF_FILES = "add", "remove"


def last_change(table: DeltaTable, path: Path) -> int:
    """Return the version of the table at `path` that changed its rows last, up to this one.

    Where nothing tells any more what a commit did it is taken for one that changed some.
    """
    change, as_of = _noted(table)
    for version in range(table.version(), as_of, -1):
        if _changes_rows(path / "_delta_log" / f"{version:020d}.json"):
            return version
    return change


def note_of(table: DeltaTable, path: Path) -> str:
    """Return what is to be noted before the log is shortened, in the next commit."""
    return f"{last_change(table, path)} as of {table.version()}"


def is_noted(table: DeltaTable, path: Path) -> bool:
    """Tell whether no commit but that of the note came since the last change, or its note."""
    return table.version() in {last_change(table, path), _noted(table)[1] + 1}


def _noted(table: DeltaTable) -> tuple[int, int]:
    told = _NOTED.fullmatch(table.metadata().configuration.get(NOTE, ""))
    return (int(told[1]), int(told[2])) if told else (0, -1)


def _changes_rows(commit: Path) -> bool:
    try:
        with commit.open(encoding="utf-8") as lines:
            return any(_is_change(json.loads(line)) for line in lines if line.strip())
    except (FileNotFoundError, ValueError):
        return True


def _is_change(action: dict[str, dict[str, object]]) -> bool:
    return any(action[kind].get("dataChange", True) for kind in _OF_FILES if kind in action)
