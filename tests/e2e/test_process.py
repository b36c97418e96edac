"""How the service starts, lives through trouble, and ends, as a process among processes."""

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import aiohttp
import orjson
import pytest

from features.offline.store import OfflineStore
from tests.support.process import PATIENCE_S, ROOT, Service, alive


def event(user_id: str, item_id: str) -> dict[str, object]:
    """Return a click of now."""
    return {
        "event_id": uuid4().hex,
        "type": "click",
        "user_id": user_id,
        "item_id": item_id,
        "timestamp": 1_760_000_000,
    }


def click(service: Service, user_id: str) -> None:
    """Let a shopper click on the most popular item."""
    item = orjson.loads(service.get("/v1/popular?k=1")[1])["items"][0]["item_id"]
    status, body = service.post("/v1/events", {"events": [event(user_id, item)]})
    assert status == 202, body


def run_server(**variables: str) -> "subprocess.CompletedProcess[str]":
    """Run `python -m server` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "server"],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_latency_is_told_finer_than_the_loops_clock(home: Path) -> None:
    """Uvloop's own clock knows whole milliseconds only; answers take about two."""
    with Service(home) as service:
        told = [service.ask("u1")["latency_ms"] for _ in range(5)]
    assert any(latency % 1 for latency in told)


def test_a_client_that_leaves_in_mid_body_is_no_error_of_ours(home: Path) -> None:
    """It is counted as gone, and in no other way."""
    with Service(home) as service:
        with socket.create_connection(("127.0.0.1", service.port)) as client:
            head = "POST /v1/recommendations HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"
            client.sendall(head.encode() + b"{")
        service.until(lambda: b"cuvee_client_gone_total 1.0" in service.get("/metrics")[1])
        told = service.get("/metrics")[1].decode()
    assert 'cuvee_requests_total{route="recommendations",status="200"} 0.0' in told
    assert 'cuvee_errors_total{kind="internal"} 0.0' in told


def test_it_starts_serves_and_tells_what_to_try(home: Path) -> None:
    """One command: its own store, a list, and the one curl to try, which works."""
    with Service(home) as service:
        click(service, "u1")
        assert service.ask("u1")["source"] == "model"
        service.until(lambda: "curl -s" in service.output)
        line = next(line for line in service.output.splitlines() if line.startswith("curl"))
        tried = subprocess.run(line, shell=True, capture_output=True, check=True)
        assert orjson.loads(tried.stdout)["items"]
        service.signal(signal.SIGTERM)
        assert service.exit_code() == 0


def test_what_shoppers_did_survives_a_restart(home: Path) -> None:
    """The embedded store keeps events on disk."""
    with Service(home) as service:
        click(service, "u1")
    with Service(home) as service:
        assert service.ask("u1")["source"] == "model"


def test_a_port_in_use_is_one_clear_line(home: Path) -> None:
    """Exit 2, the address named, nothing started, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_server(CUVEE_HOME=str(home), CUVEE_PORT=str(port))
    assert done.returncode == 2
    assert f"error: cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (home / "valkey").exists()


def test_all_bad_settings_are_told_at_once(tmp_path: Path) -> None:
    """Every mistake has its line, and a misspelt variable a hint."""
    done = run_server(
        CUVEE_HOME=str(tmp_path), CUVEE_PORT="none", CUVEE_WORKERS="0", CUVEE_WORKER="2"
    )
    assert done.returncode == 2
    assert "CUVEE_PORT: expected an integer from 1 to 65535, got 'none'" in done.stderr
    assert "CUVEE_WORKERS: expected" in done.stderr
    assert "CUVEE_WORKER is not read; did you mean CUVEE_WORKERS?" in done.stderr
    assert "Traceback" not in done.stderr


def test_bad_files_are_told_before_anything_starts(tmp_path: Path) -> None:
    """A line for each, and nothing beside: no store, no consumer, no worker that gives up."""
    names = {"CUVEE_ROLLOUT": "steps: none", "CUVEE_RULES": "pins: 1", "CUVEE_MODEL_PUBLIC_KEY": ""}
    for name, text in names.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    home = tmp_path / "home"
    done = run_server(CUVEE_HOME=str(home), **{name: str(tmp_path / name) for name in names})
    assert done.returncode == 2
    rollout, rules, key = done.stderr.splitlines()
    assert rollout.startswith(f"error: CUVEE_ROLLOUT: {tmp_path}/CUVEE_ROLLOUT: steps: expected ")
    assert rules.startswith(f"error: CUVEE_RULES: {tmp_path}/CUVEE_RULES: pins: expected ")
    assert key.startswith("error: CUVEE_MODEL_PUBLIC_KEY: expected ")
    assert not home.exists()


def test_without_a_model_it_says_what_is_missing(tmp_path: Path) -> None:
    """It is up, not ready, and names the command that makes a model."""
    service = Service(tmp_path)
    with service.running():
        service.until(lambda: service.get("/healthz")[0] == 200)
        assert service.get("/readyz")[0] == 503
        service.until(lambda: "python -m models train" in service.output)


async def hammer(url: str, stop: asyncio.Event, answers: list[int]) -> None:
    """Ask over kept connections until told to stop."""
    async with aiohttp.ClientSession() as session:
        while not stop.is_set():
            async with session.post(url + "/v1/recommendations", json={"user_id": "u1"}) as answer:
                await answer.read()
                answers.append(answer.status)


async def test_sigterm_under_load_loses_no_request(home: Path) -> None:
    """A balancer that notices late loses nothing: readiness fails first, answers go on."""
    with Service(home, CUVEE_DRAIN_S="3") as service:
        stop, answers = asyncio.Event(), list[int]()
        clients = [asyncio.ensure_future(hammer(service.url, stop, answers)) for _ in range(8)]
        while len(answers) < 50:
            await asyncio.sleep(0.01)
        service.signal(signal.SIGTERM)
        await asyncio.to_thread(service.until, lambda: service.get("/readyz")[0] == 503)
        noticed = len(answers)
        while len(answers) < noticed + 50:
            await asyncio.sleep(0.01)
        stop.set()
        await asyncio.gather(*clients)
        assert await asyncio.to_thread(service.exit_code) == 0
        assert set(answers) == {200}


async def test_what_is_in_flight_is_finished(home: Path) -> None:
    """A request that waits for a frozen store when the end comes still gets its list."""
    with Service(home, CUVEE_FEATURE_TIMEOUT_MS="1500") as service:
        click(service, "u1")
        (store,) = service.children("valkey-server")
        os.kill(store, signal.SIGSTOP)
        try:
            waiting = asyncio.ensure_future(asyncio.to_thread(service.ask, "u1"))
            await asyncio.to_thread(
                service.until, lambda: metric(service, "cuvee_inflight_requests ") == 2
            )
            service.signal(signal.SIGTERM)
            answer = await waiting
        finally:
            os.kill(store, signal.SIGCONT)
        assert (answer["reason"], answer["degraded"]) == ("feature_timeout", True)
        assert answer["items"]
        assert await asyncio.to_thread(service.exit_code) == 0


def test_ctrl_c_ends_at_once(home: Path) -> None:
    """An interrupt does not wait for balancers, whatever the drain time."""
    with Service(home, CUVEE_DRAIN_S="3600") as service:
        os.killpg(service.pid, signal.SIGINT)
        assert service.exit_code() == 0


def metric(service: Service, name: str) -> float:
    """Return the value of a metric that has one series of this name."""
    text = service.get("/metrics")[1].decode()
    return sum(
        float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name)
    )


def test_too_many_clients_for_its_files(home: Path) -> None:
    """It says so, keeps those it has, and takes the others once there is room."""
    with Service(home) as service:
        (worker,) = service.workers()
        _, most = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        room = len(list(Path(f"/proc/{worker}/fd").iterdir())) + 20
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (room, most))
        clients = [
            socket.create_connection(("127.0.0.1", service.port), PATIENCE_S) for _ in range(40)
        ]
        service.until(lambda: "no connection can be accepted" in service.output)
        *others, last = clients
        for client in others:
            client.close()
        with last:
            last.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert last.recv(15) == b"HTTP/1.1 200 OK"


def test_a_killed_worker_is_replaced(home: Path) -> None:
    """Of two workers one is killed: answers go on, a new one comes, totals stay right."""
    with Service(home, CUVEE_WORKERS="2") as service:
        service.until(lambda: len(service.workers()) == 2)
        for _ in range(20):
            service.ask("u1")
        name = 'cuvee_requests_total{route="recommendations",status="200"}'
        service.until(lambda: metric(service, name) == 20)  # workers tell four times a second
        killed = min(service.workers())
        os.kill(killed, signal.SIGKILL)
        service.until(lambda: not alive(killed))
        service.until(lambda: len(service.workers()) == 2)
        service.until_ready()
        for _ in range(10):
            service.ask("u1")
        assert metric(service, name) == 30
        assert metric(service, "cuvee_inflight_requests ") == 1  # the scrape


def test_a_killed_store_is_started_again(home: Path) -> None:
    """The embedded store comes back by itself, with what it knew."""
    with Service(home, CUVEE_FEATURE_TIMEOUT_MS="50") as service:
        click(service, "u1")
        service.until(lambda: service.ask("u1")["source"] in {"model", "cache"})
        (store,) = service.children("valkey-server")
        os.kill(store, signal.SIGTERM)  # so that it syncs its file: the last second may be lost
        service.until(lambda: service.children("valkey-server") not in (set(), {store}))
        service.until(lambda: service.ask("u1")["source"] in {"model", "cache"})


def test_no_orphans_when_the_master_is_killed(home: Path) -> None:
    """Workers, store and consumers end with a master that had no time to tell them."""
    with Service(home) as service:
        service.until(lambda: len(service.children()) >= 3)
        children = service.children()
        service.signal(signal.SIGKILL)
        service.exit_code()
        service.until(lambda: not any(alive(pid) for pid in children))
    with Service(home) as service:
        assert service.ask("u1")["items"]


def test_a_worker_that_ends_leaves_the_store_alone(home: Path) -> None:
    """A worker that is told to stop is replaced; the store and the consumers live on."""
    with Service(home) as service:
        service.until(lambda: len(service.children("features consume")) == 2)
        beside = service.children("valkey-server") | service.children("features consume")
        (worker,) = service.workers()
        os.kill(worker, signal.SIGTERM)
        service.until(lambda: service.workers() not in (set(), {worker}))
        service.until_ready()
        assert service.ask("u1")["reason"] == "unknown_user"
        assert all(alive(pid) for pid in beside)


@pytest.mark.slow
def test_what_shoppers_did_reaches_the_offline_store(home: Path) -> None:
    """Events that are posted stand in the tables a little later, once each."""
    with Service(home) as service:
        click(service, "u1")
        click(service, "u2")
        store = OfflineStore(home)
        service.until(lambda: store.count("events") == 2)
        assert sorted(store.scan("events").collect()["user_id"]) == ["u1", "u2"]


def test_consumers_stop_before_the_store(home: Path) -> None:
    """A clean end is quiet: nobody misses a store that was stopped too early."""
    with Service(home) as service:
        service.until(lambda: len(service.children("features consume")) == 2)
        service.signal(signal.SIGTERM)
        assert service.exit_code() == 0
        assert "ConnectionError" not in service.output
