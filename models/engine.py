"""Where what grows with the events is done: reading them, and counting what items share."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from features.training.engine import not_installed
from models.gram import Gram, gram_of
from models.training_log import Reader, read_here


@dataclass(frozen=True, slots=True)
class Engine:
    """Reads parts of a log, and counts for each two items; whichever it is, to the same bytes."""

    read: Reader
    gram: Gram


LOCAL = Engine(read_here, gram_of)
"""This process."""


def engine_named(name: str, master: str | None = None) -> AbstractContextManager[Engine]:
    """Return what gives an engine; `master` is where Spark runs, None for its configuration's.

    Raises `EngineError` where pyspark is not installed, and when it is entered if Spark does not
    start.
    """
    if name == "local":
        return nullcontext(LOCAL)
    try:
        from models.spark_engine import spark_engine  # noqa: PLC0415 (an extra, and a second)
    except ModuleNotFoundError as error:
        raise not_installed(error) from None
    return spark_engine(master)
