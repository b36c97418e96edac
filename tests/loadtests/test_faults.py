"""The fault table: what makes a row fail, two of its rows end to end, the others in a blink."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from features.online.embedded import EmbeddedValkey
from loadtests.bench.generator import REFUSED, UNANSWERED, Answer, OpenLoop, Tally, post
from loadtests.bench.measure import PATH
from loadtests.bench.shop import fill, promote, shop_parts, shopper_ids, write_bodies
from loadtests.faults.asker import Asker
from loadtests.faults.core_wait import CoreWait
from loadtests.faults.events import Outcome
from loadtests.faults.faults import FAKETIME, ITEMS, Fault, faults
from loadtests.faults.graphs import raising, slow
from loadtests.faults.proxy import ChaosProxy
from loadtests.faults.rig import NOTHING_KEPT, Rig
from loadtests.faults.verdict import WITHIN_S, Loss, Verdict, judge
from models.bundle import write_bundle
from models.registry import Registry

BLINK_S = 0.4
ROOT = Path(__file__).parents[2]
KEPT = Outcome(taken=9, lost=0, doubled=0)
FINE = Answer(due_s=1.0, seconds=0.002, status=200, source="model", expected=True)


def told(
    *answers: Answer,
    events: Outcome = KEPT,
    allows: Sequence[Loss] = (),
) -> Verdict:
    """Return the verdict on what came beside a fine answer, broken from second 1 to 2."""
    return judge("x", allows, (FINE, *answers), (1.0, 2.0), events, 0.0)


def answer(status: int, *, due_s: float = 1.5, seconds: float = 0.002) -> Answer:
    """Return an answer of a status, with a list where it is 200."""
    return Answer(due_s, seconds, status, "model" if status == 200 else "", status == 200)


def test_lists_in_time_keep_the_promise() -> None:
    """Also those at the very limit, and from the ladder."""
    assert told(answer(200, seconds=WITHIN_S), FINE._replace(source="segment")).is_kept


@pytest.mark.parametrize("status", [500, 404, 429])
def test_an_error_breaks_it(status: int) -> None:
    """Whatever the fault allows."""
    verdict = told(answer(status), allows=tuple(Loss))
    assert (verdict.other, verdict.is_kept) == (1, False)


def test_a_200_without_items_breaks_it() -> None:
    """An answer that holds no list is none."""
    verdict = told(FINE._replace(expected=False))
    assert (verdict.other, verdict.is_kept) == (1, False)


@pytest.mark.parametrize(
    ("status", "loss"),
    [(UNANSWERED, Loss.CUT_OFF), (REFUSED, Loss.REFUSED)],
)
def test_a_loss_breaks_it_unless_the_fault_allows_it(status: int, loss: Loss) -> None:
    """Cut off and refused, each for itself."""
    verdict = told(answer(status))
    assert verdict.cut_off + verdict.refused == 1
    assert not verdict.is_kept
    assert not told(answer(status), allows=[each for each in Loss if each != loss]).is_kept
    assert told(answer(status), allows=[loss]).is_kept


@pytest.mark.parametrize("status", [200, 503])
def test_a_late_answer_breaks_it(status: int) -> None:
    """Be it a list or a refusal."""
    verdict = told(answer(status, seconds=0.101), allows=tuple(Loss))
    assert (verdict.late, verdict.slowest_ms, verdict.is_kept) == (1, 101.0, False)


@pytest.mark.parametrize("events", [Outcome(9, 1, 0), Outcome(9, 0, 1)])
def test_an_event_lost_or_doubled_breaks_it(events: Outcome) -> None:
    """However well shoppers were served."""
    assert not told(events=events).is_kept


def test_a_late_asker_is_told_but_excuses_nothing() -> None:
    """Whoever reads the row sees that it may have been the machine; the row fails all the same."""
    verdict = told(answer(200, seconds=0.2)._replace(asker_late_s=0.15))
    assert (verdict.asker_late_ms, verdict.is_kept) == (150.0, False)
    assert verdict.row().startswith("| **x** |")


def test_sources_are_of_the_time_it_was_broken() -> None:
    """What came before and after is not what the fault did."""
    verdict = told(
        FINE._replace(source="cache", due_s=0.5),
        FINE._replace(source="segment"),
        FINE._replace(source="cache", due_s=2.5),
    )
    assert verdict.sources == {"model": 0.5, "segment": 0.5}


def test_it_has_recovered_when_nothing_is_degraded_any_more() -> None:
    """Seconds from the mending to the last request that got less than it should."""
    worse = [FINE._replace(due_s=due, source="segment") for due in (1.9, 2.1, 2.5)]
    assert told(*worse, FINE._replace(due_s=2.7)).recovered_s == 0.5
    assert told(answer(503, due_s=2.2), allows=tuple(Loss)).recovered_s == pytest.approx(0.2)
    assert told().recovered_s == 0.0


def test_only_the_end_of_a_process_may_cost_a_request() -> None:
    """No other fault is allowed any loss."""
    allowed = {each.name: set(each.allows) for each in faults() if each.allows}
    assert set().union(*allowed.values()) == set(Loss)
    assert list(allowed) == ["worker killed, of two", "SIGTERM, and started again"]


def test_processes_that_are_gone_wait_for_no_core() -> None:
    """A worker may die between two looks."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    wait = CoreWait(lambda: [os.getpid(), gone.pid])
    for _ in range(2):
        wait.look()
    assert wait.longest_s >= 0


@pytest.mark.slow
def test_a_killed_store_and_a_killed_worker(tmp_path: Path) -> None:
    """Two rows of a second each: every request gets a list, no event is lost or doubled."""
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.faults", "--only", "killed", "--seconds", "1",
         "--rate", "30", "--out", str(out)],
        cwd=ROOT, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode in {0, 1}, done.stderr  # 1 where a busy machine was late
    assert (out / "faults.md").read_text() == done.stdout
    rows = json.loads((out / "faults.json").read_text())
    assert [row["name"] for row in rows] == [
        "Valkey killed, again and again",
        "worker killed, of two",
    ]
    for row in rows:
        assert row["requests"] > 10
        assert row["events"]["taken"] > 0
        assert (row["events"]["lost"], row["events"]["doubled"]) == (0, 0)
        assert (row["other"], row["refused"]) == (0, 0)
        assert f"{row['name']}" in done.stdout
    assert "segment" in rows[0]["sources"]
    assert rows[0]["cut_off"] == 0


def fault(named: str) -> Fault:
    """Return the one fault whose name holds this."""
    (found,) = [each for each in faults() if named in each.name]
    return found


async def asked(rig: Rig) -> list[Answer]:
    """Ask for a blink and return what came."""
    users = shopper_ids(0, 100)
    requests = [post(PATH, json.dumps({"user_id": user, "k": 5})) for user in users]
    tally = Tally(b'"items":[{')
    await OpenLoop(rig.port, requests, tally).run(rate=60, seconds=BLINK_S)
    assert tally.answers
    return tally.answers


async def broken(rig: Rig, named: str) -> set[str]:
    """Break one thing and mend it; return what lists came from meanwhile, all of them lists."""
    async with fault(named).breaks(rig):
        told = await asked(rig)
    assert all(each.expected for each in told), (named, told)
    return {each.source for each in told}


@asynccontextmanager
async def running(folder: Path, proxy: ChaosProxy | None, **environment: str) -> AsyncIterator[Rig]:
    """Run a service of a small shop that ranks its shoppers."""
    home = folder / "home"
    promote(home, shop_parts(ITEMS, shoppers=100))
    with EmbeddedValkey(home) as store:
        await fill(store, ITEMS, 100)
    variables = {"CUVEE_DRAIN_S": "0", "CUVEE_CACHE_TTL_S": "0", **environment}
    async with (rig := Rig(home, variables, proxy=proxy, lasts_s=BLINK_S)).running():
        assert "model" in {each.source for each in await asked(rig)}
        yield rig


async def test_a_store_that_fails_costs_nobody_a_list(tmp_path: Path) -> None:
    """Slow, hanging up, refusing and full: one after the other, the ladder answers."""
    proxy = ChaosProxy(Path(), tmp_path / "proxy.sock")
    async with running(tmp_path, proxy) as rig:
        for named in ("slow by 60 ms", "hangs up", "reads with errors"):
            assert "segment" in await broken(rig, named)
        await broken(rig, "Valkey full")


async def test_a_slow_model_costs_nobody_a_list(tmp_path: Path) -> None:
    """One worker: of two, the other follows only once the blink is over."""
    async with running(tmp_path, None, **NOTHING_KEPT) as rig:
        assert "segment" in await broken(rig, "model slow")


async def test_models_processes_and_clients_that_fail_cost_nobody_a_list(tmp_path: Path) -> None:
    """A corrupt model, swaps, clients that drip, dead processes, and a flood."""
    async with running(tmp_path, None, CUVEE_WORKERS="2", **NOTHING_KEPT) as rig:
        for named in ("20 promotions", "corrupt bundle", "drip", "consumers dead"):
            await broken(rig, named)
        bodies = tmp_path / "bodies.txt"
        write_bodies(bodies, 0, 100)
        rig.flood = Asker(bodies, 500.0, BLINK_S, 16)
        await broken(rig, "three times too many requests")
        assert rig.answers
        first = set(rig.workers())
        async with fault("worker killed").breaks(rig):
            async with asyncio.timeout(10):
                while first <= set(rig.workers()):
                    await asyncio.sleep(0.01)
        assert rig.service is not None
        master = rig.service.pid
        await broken(rig, "SIGTERM")
        assert rig.service.pid != master
        assert len(rig.away) == 1


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed: apt install faketime")
async def test_a_stepped_clock_costs_nobody_a_list(tmp_path: Path) -> None:
    """An hour on, an hour back, and right again."""
    stepped = fault("clock stepped").environment
    variables = {name: value.format(home=tmp_path / "home") for name, value in stepped.items()}
    async with running(tmp_path, None, **variables) as rig:
        await broken(rig, "clock stepped")
        assert all(each.expected for each in await asked(rig))


async def test_going_back_loads_the_model_before(tmp_path: Path) -> None:
    """As it must where moves are measured: one that does not load any more is refused."""
    async with running(tmp_path, None, **NOTHING_KEPT) as rig:
        serving = Registry(rig.home).production()
        other = write_bundle(rig.home / "models", shop_parts(ITEMS, seed=3))
        assert await rig.admin(f"/v1/models/{other}/promote") == 200
        (rig.home / "models" / str(serving) / "tower.onnx").write_bytes(b"broken")
        assert await rig.admin("/v1/models/rollback") == 409


@pytest.mark.parametrize(
    "broken", [raising, lambda tower: slow(tower, 0.02)], ids=["raises", "slow"]
)
def test_a_model_that_fails_shoppers_passes_its_warm_up(
    broken: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """Else it would not be promoted, and nothing would be broken."""
    parts = shop_parts(ITEMS)
    assert parts.personal is not None
    personal = replace(parts.personal, tower=broken(parts.personal.tower))
    home = tmp_path / "home"
    promote(home, replace(parts, personal=personal))
    assert Registry(home).production() is not None
