"""Forgetting a shopper in a service of two workers, which may be killed."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis

from features.identity.forgotten import ForgottenList
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
        with stopped({other}):
            assert service.delete("/v1/users/am%C3%A9lie", "secret") == 204
            assert service.ask("am\u00e9lie")["segment"] == "global"
        assert one in service.workers()
        service.until(lambda: segments(service, "am\u00e9lie") == ["global"] * 2)

        assert segments(service, "bruno") == ["type=White"] * 2
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
