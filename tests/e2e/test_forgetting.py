"""Forgetting a shopper in a service of two workers, which may be killed."""

import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis

from features.identity.forgotten import ForgottenList
from features.offline.store import OfflineStore
from features.online import keys
from features.online.embedded import EmbeddedValkey
from tests.support.process import Service, alive

WORKERS = {"CUVEE_WORKERS": "2", "CUVEE_ADMIN_TOKEN": "secret"}


@contextmanager
def stopped(pids: set[int]) -> Iterator[None]:
    """Let processes stand still."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in filter(alive, pids):
            os.kill(pid, signal.SIGCONT)


def segments(service: Service, user_id: str) -> list[str]:
    """Return in which segment each worker says that a shopper without events is."""
    workers, told = service.workers(), []
    for worker in workers:
        with stopped(workers - {worker}):
            told.append(str(service.ask(user_id)["segment"]))
    return told


def served_to(home: Path) -> dict[str, float]:
    """Return who was served a list, and when first, as far as the table knows."""
    rows = OfflineStore(home).served().collect().sort("served_at", descending=True)
    return {row["user_id"]: row["served_at"].timestamp() for row in rows.to_dicts()}


def kill(service: Service) -> None:
    """Kill master, workers, consumers and store at once."""
    everything = service.children()
    os.killpg(service.pid, signal.SIGKILL)
    for pid in everything:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
    service.exit_code()


def test_all_workers_forget_and_a_kill_brings_nothing_back(home: Path) -> None:
    """Who was asked at once, the other within a second; and what the stream has is done later."""
    with Service(home, **WORKERS) as service:
        service.until(lambda: len(service.workers()) == 2)
        assert segments(service, "am\u00e9lie") == ["type=Red"] * 2
        one, other = service.workers()
        service.ask("chlo\u00e9")
        forgotten_s = time.time()
        with stopped({other}):
            assert service.delete("/v1/users/am%C3%A9lie", "secret") == 204
            assert service.ask("am\u00e9lie")["segment"] == "global"
        assert one in service.workers()
        service.until(lambda: segments(service, "am\u00e9lie") == ["global"] * 2)

        assert segments(service, "bruno") == ["type=White"] * 2
        killed_s = time.time()
        with stopped(service.children("consume")):
            with Redis.from_url(EmbeddedValkey(home).url) as raw:
                # Whoever waits for entries would be handed it, and be dead for a minute with it.
                service.until(lambda: not raw.info("clients")["blocked_clients"])
                raw.xadd(keys.STREAM, {"forget": "bruno"})  # as a worker that is killed behind it
            kill(service)

    assert ForgottenList(home).read().until(["bruno"]) == {}
    with Service(home, **WORKERS) as service:
        assert service.ask("am\u00e9lie")["segment"] == "global"
        service.until(lambda: set(segments(service, "bruno")) == {"global"})
        assert service.ask("\u7528\u6237 7")["segment"] == "market=FR"
        # What workers had written of lists when they were killed is in the table, but theirs.
        service.until(lambda: "chlo\u00e9" in served_to(home))
        service.until(lambda: served_to(home).get("bruno", math.inf) > killed_s)
        assert served_to(home)["am\u00e9lie"] > forgotten_s
