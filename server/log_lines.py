"""What a log record looks like: a line for people on a terminal, JSON for collectors elsewhere."""

import logging
import sys
from datetime import UTC, datetime

import orjson

_LINE = "%(asctime)s %(levelname)-7s %(message)s"


def stderr_handler() -> logging.Handler:
    """Return a handler that writes lines to a terminal, else JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_LINE) if sys.stderr.isatty() else JsonLines())
    return handler


class JsonLines(logging.Formatter):
    """One JSON object a line; what a record was given as `fields` stands in it, too."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
        }
        line |= getattr(record, "fields", {})
        if record.exc_text or record.exc_info:
            line["error"] = record.exc_text or self.formatException(record.exc_info)  # type: ignore[arg-type]
        return orjson.dumps(line, default=str).decode("utf-8", "replace")
