"""What the monitor says of itself: a line of JSON for each thing that changed, on stderr."""

import sys
from datetime import UTC, datetime
from typing import TextIO

import orjson


class Journal:
    """Writes lines; of equal ones in a row only the first."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to `stream`, else to stderr."""
        self._stream = stream or sys.stderr
        self._last: tuple[str, object] | None = None

    def tell(self, event: str, **fields: object) -> None:
        """Write that something happened, with its reasons."""
        if (event, fields) == self._last:
            return
        self._last = (event, fields)
        told = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event}
        print(orjson.dumps({**told, **fields}).decode(), file=self._stream, flush=True)
