"""A real S3-compatible server over HTTP: moto's, in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from s3fs import S3FileSystem

VARIABLES = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@dataclass(frozen=True, slots=True)
class S3:
    """The server: where it answers, and its process."""

    endpoint: str
    pid: int

    def bucket(self, name: str) -> S3FileSystem:
        """Make a bucket and return a way to look into it."""
        files = S3FileSystem(
            endpoint_url=self.endpoint, use_listings_cache=False, skip_instance_cache=True
        )
        files.mkdir(name)
        return files

    @contextmanager
    def stuck(self) -> Iterator[None]:
        """Let it take connections and answer nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    """Start the server, and name it in the environment as botocore wants it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = (sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait(port)
            with pytest.MonkeyPatch.context() as patch:
                endpoint = f"http://127.0.0.1:{port}"
                for name, value in {**VARIABLES, "AWS_ENDPOINT_URL": endpoint}.items():
                    patch.setenv(name, value)
                yield S3(endpoint, server.pid)
        finally:
            server.terminate()


def _wait(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("the S3 server did not answer")
