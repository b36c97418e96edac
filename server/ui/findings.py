"""Files of findings that monitors leave under the home: whatever lies there, of bounded size."""

from pathlib import Path
from typing import Any

import orjson

MOST_BYTES = 4 * 1024 * 1024


def read_findings(path: Path) -> Any | None:  # noqa: ANN401 - JSON may be anything
    """Return what a file of findings holds, None where there is none.

    Raises `OSError`, or `ValueError` where it is no JSON or larger than findings are.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    if len(content) > MOST_BYTES:
        raise ValueError(f"{path.name} has more than {MOST_BYTES} bytes")
    return orjson.loads(content)
