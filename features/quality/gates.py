"""Where data are checked."""

from enum import StrEnum


class Gate(StrEnum):
    """A batch of files on its way into the tables, and the tables that are brought online."""

    INGEST = "ingest"
    MATERIALIZE = "materialize"
