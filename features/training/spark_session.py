"""A Spark session for as long as it is needed: that of this process, else one that ends again.

What Spark's own configuration says stays in force (SPARK_CONF_DIR, PYSPARK_SUBMIT_ARGS); only what
is not told there is set here. What its machine writes to stderr is told where it does not start.
"""

import logging
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark import SparkConf, SparkContext, java_gateway
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from features.child_process import start_child
from features.declared import VARIABLE
from features.errors import EngineError

CONNECT_S = 5.0
"""How long a standalone master may take to accept a connection; Spark itself tries for a minute."""

_STANDALONE = "spark://"
_ERROR = re.compile(
    r"(?:^(?:Caused by: )?(?:\w+\.)*|(?:\w+\.){2,})(?=(\w*(?:Error|Exception): \S.*))", re.MULTILINE
)
_LOGS = ("WARNING", "Using ")
_NEEDS = "it needs Java 17 or newer, on PATH or named by JAVA_HOME"
_BROKEN = (PySparkException, Py4JError, ConnectionError, EOFError)
_INTERRUPTS = (KeyboardInterrupt, SystemExit)


@contextmanager
def spark_session(master: str | None) -> Iterator[SparkSession]:
    """Yield a session whose times are UTC, on `master` if this process has none yet.

    Without `master` it is on the one that Spark's configuration names, else on all cores here.
    Raises `EngineError`, in one line, where Spark does not start, or fails meanwhile.
    """
    active = SparkSession.getActiveSession()
    with _quiet(), _translated():
        if active is not None:
            yield _own(active)
            return
        try:
            session = _started(master)
            try:
                yield _own(session)
            finally:
                _stop(session)
        except _INTERRUPTS:
            _end_java()
            raise


def _own(session: SparkSession) -> SparkSession:
    own = session.newSession()
    own.conf.set("spark.sql.session.timeZone", "UTC")
    return own


def _stop(session: SparkSession) -> None:
    """Stop a session, unless this process is to end: its Java may have a job under way."""
    if not isinstance(sys.exception(), _INTERRUPTS):
        with suppress(*_BROKEN):
            session.stop()


def _started(master: str | None) -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    conf = _conf(master)
    _check_reachable(conf.get("spark.master", ""))
    interrupted = signal.getsignal(signal.SIGINT)
    SparkContext(conf=conf)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, interrupted)  # Spark's own asks Java while Java is being asked
    return SparkSession.builder.getOrCreate()


def _conf(master: str | None) -> SparkConf:
    """Return the configuration of a session: what is told, and what is needed beside it."""
    needed = {"spark.ui.showConsoleProgress": "false"}
    if master is not None:
        needed["spark.master"] = master
    if SparkContext._jvm is None:  # noqa: SLF001 (of one machine a process)
        _launch(needed)
    conf = SparkConf().setAll([*needed.items()])
    conf.setIfMissing("spark.app.name", "cuvee")
    conf.setIfMissing("spark.log.level", "ERROR")
    conf.setIfMissing("spark.ui.enabled", "false")
    conf.setIfMissing("spark.executorEnv.POLARS_MAX_THREADS", "1")  # a task has one core
    if declared := os.environ.get(VARIABLE):
        conf.setIfMissing(f"spark.executorEnv.{VARIABLE}", str(Path(declared).absolute()))
    return conf


def _launch(needed: dict[str, str]) -> None:
    """Start Java with Spark in it."""
    conf = SparkConf(loadDefaults=False).setAll([*needed.items()])
    with tempfile.TemporaryFile() as said:
        try:
            with _ending_with_us():
                gateway = java_gateway.launch_gateway(conf, {"stdout": said, "stderr": said})  # type: ignore[no-untyped-call]
        except PySparkException:
            said.seek(0)
            reason = _told(said.read().decode(errors="replace"))
            needs = "" if reason.startswith("SparkException") else f"; {_NEEDS}"
            raise EngineError(f"--engine spark: {reason}{needs}") from None
    SparkContext._ensure_initialized(gateway=gateway)  # noqa: SLF001


@contextmanager
def _ending_with_us() -> Iterator[None]:
    """Let Java that is started meanwhile end with this process, or at once where it fails."""
    children: list[subprocess.Popen[bytes]] = []

    def start(command: list[str], **options: Any) -> "subprocess.Popen[bytes]":  # noqa: ANN401
        del options["preexec_fn"]  # it keeps interrupts off, as a session of its own does
        children.append(start_child(command, **options))
        return children[-1]

    java_gateway.Popen = start  # type: ignore[assignment, attr-defined]
    try:
        yield
    except BaseException:
        for child in children:
            child.kill()
        raise
    finally:
        java_gateway.Popen = subprocess.Popen  # type: ignore[attr-defined]


def _end_java() -> None:
    """End Java at once, whatever it does; the next session starts another."""
    gateway = SparkContext._gateway  # noqa: SLF001 (of one machine a process)
    if gateway is not None and gateway.proc is not None:
        gateway.proc.kill()
        gateway.proc.wait()
    SparkContext._gateway = SparkContext._jvm = SparkContext._active_spark_context = None  # noqa: SLF001


def _check_reachable(master: str) -> None:
    """Raise `EngineError` where no standalone master of a list answers."""
    if not master.startswith(_STANDALONE):
        return
    for address in master.removeprefix(_STANDALONE).split(","):
        host, _, port = address.rpartition(":")
        if not port.isdecimal():
            return  # Spark tells what it expects
        with suppress(OSError), socket.create_connection((host, int(port)), CONNECT_S):
            return
    raise EngineError(f"--master: nothing answers at {master}; is it running, and is this its URL?")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except Py4JNetworkError:
        raise EngineError("--engine spark: its Java ended, or does not answer") from None
    except _BROKEN as error:
        raise EngineError(f"--engine spark: {_told(str(error))}") from error


def _told(text: str) -> str:
    """Return the line of `text` that says what went wrong: that of its last error, else the first.

    Spark's messages hold logs, tracebacks and stacks of several machines, causes last.
    """
    if errors := _ERROR.findall(text):
        return str(errors[-1])[:300]
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith(_LOGS))
    return next(lines, "it ended")[:300]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep py4j from writing tracebacks of what is told otherwise."""
    log = logging.getLogger()
    log.addFilter(_is_ours)
    try:
        yield
    finally:
        log.removeFilter(_is_ours)


def _is_ours(record: logging.LogRecord) -> bool:
    return "py4j" not in record.pathname
