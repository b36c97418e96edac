"""Homes that share a registry judge a trial together: each hears what the others counted."""

import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from features.ids import stable_hash
from models import canary_counts as counted
from models.bundle import write_bundle
from models.canary import Assignment, Canary
from models.canary_counts import (
    CANARY,
    CONTROL,
    CanaryCounter,
    CanaryCounts,
    counts_folder,
    read_counts,
)
from models.canary_exchange import TRIALS
from models.errors import AwayError
from models.leftovers import YOUNG_S
from models.registry import Registry
from models.rollout import parse_rollout
from models.shared_commands import _exchange, _follow
from models.shared_registry import SharedRegistry
from models.storage import Directory
from models.verdict import Move, judge
from tests.support.bundles import small_parts

ROLLOUT = parse_rollout(
    "steps: [0.5]\nleast_requests: 600\nleast_s: 0\nalpha: 0.05\nguardrails: {fallbacks: 0.2}", ""
)
SHOPPERS = 800
"""Of each home, some 400 of them the canary's: too few for a verdict, enough in two."""


class Home:
    """One of several, and how it sees the registry."""

    def __init__(self, path: Path, shared: Path) -> None:
        """Have a registry of its own beside the one in `shared`."""
        self.path = path
        self.registry = Registry(path)
        self.shared = SharedRegistry(Directory(shared), self.registry)

    def follow(self) -> None:
        """Look once, as `python -m models follow` does."""
        assert _follow(self.shared)
        assert not _exchange(self.shared, "")

    def serve(self, canary: Canary, users: range, fallbacks: int = 0) -> CanaryCounter:
        """Answer each of these shoppers once; of the canary's so many fall back."""
        counter, has = CanaryCounter(self.path, canary), Assignment(canary).has
        for user in users:
            shopper = stable_hash(f"u{user}")
            arm = CANARY if has(shopper) else CONTROL
            counter.add_shopper(arm, shopper)
            for field in (counted.REQUESTS, counted.RANKED):
                counter.add(arm, shopper, field)
            if arm == CANARY and fallbacks:
                fallbacks -= 1
                counter.add(arm, shopper, counted.FALLBACKS)
        return counter

    def counts(self, canary: Canary) -> CanaryCounts:
        """Return what this home judges by."""
        return read_counts(self.path, canary)

    def move(self, canary: Canary) -> Move:
        """Return what this home would do."""
        return judge(ROLLOUT, canary, self.counts(canary)).move


@pytest.fixture
def homes(tmp_path: Path) -> tuple[Home, Home]:
    """Return two homes with a model on trial, for half of the shoppers."""
    one, other = (Home(tmp_path / name, tmp_path / "shared") for name in ("one", "other"))
    first, second = (write_bundle(one.registry.directory, small_parts(each)) for each in (30, 31))
    one.shared.promote(first)
    one.shared.start_canary(Canary.begun(second, 1, 0.5, automatic=True))
    other.follow()
    return one, other


def on_trial(home: Home) -> Canary:
    """Return the step that is on."""
    canary = home.registry.canary()
    assert canary is not None
    return canary


def test_a_step_is_taken_by_what_all_counted(homes: tuple[Home, Home]) -> None:
    """Each alone holds for want of requests; together they go on, whichever judges."""
    one, other = homes
    canary = on_trial(one)
    one.serve(canary, range(SHOPPERS))
    other.serve(canary, range(SHOPPERS, 2 * SHOPPERS))
    assert [each.move(canary) for each in homes] == [Move.HOLD, Move.HOLD]
    for each in (one, other, one):
        each.follow()
    for each in homes:
        counts = each.counts(canary)
        assert counts.homes == 2
        assert sum(counts.total(arm, counted.REQUESTS) for arm in range(2)) == 2 * SHOPPERS
        verdict = judge(ROLLOUT, canary, counts)
        assert verdict.move is Move.ADVANCE, verdict.why
        assert "2 homes" in verdict.why


def test_harm_in_one_home_is_harm_in_all(homes: tuple[Home, Home]) -> None:
    """A home without a fault does not go on over what another one sees."""
    one, other = homes
    canary = on_trial(one)
    one.serve(canary, range(2 * SHOPPERS))
    other.serve(canary, range(2 * SHOPPERS), fallbacks=800)
    assert one.move(canary) is Move.ADVANCE
    for each in (other, one):
        each.follow()
    assert one.move(canary) is Move.STOP


def test_a_disk_that_takes_no_counts_keeps_nobody_from_following(
    homes: tuple[Home, Home], caplog: pytest.LogCaptureFixture
) -> None:
    """It looks as often as ever, since what is on trial may do harm; of the disk it tells once."""
    one, other = homes
    canary, told = on_trial(one), ""
    other.serve(canary, range(10))
    (counts_folder(other.path, canary) / "told").mkdir()
    for _ in range(3):
        assert _follow(other.shared)
        told = _exchange(other.shared, told)
    assert [each.message.partition(":")[0] for each in caplog.records] == [
        "homes do not hear of each other"
    ]
    one.shared.move_canary(canary, None)
    other.follow()
    assert other.registry.canary() is None


def test_a_step_that_a_full_disk_does_not_take_keeps_nobody_from_following(
    homes: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trial goes on here, and may end at any moment."""
    one, other = homes
    canary = on_trial(one)
    other.follow()
    later = canary.moved_to(2, 0.5)
    one.shared.move_canary(canary, later)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert _follow(other.shared)
    assert other.registry.canary() == canary
    one.shared.move_canary(later, None)
    monkeypatch.setattr(os, "fsync", full)
    assert _follow(other.shared)
    assert other.registry.canary() is None


def test_a_shopper_of_two_homes_counts_once(homes: tuple[Home, Home]) -> None:
    """A balancer sends everybody everywhere: that makes no more shoppers of them."""
    one, other = homes
    canary = on_trial(one)
    for each in homes:
        each.serve(canary, range(SHOPPERS))
    alone = [one.counts(canary).shoppers(arm) for arm in range(2)]
    for each in (*homes, one):
        each.follow()
    assert other.counts(canary).homes == 2
    assert [other.counts(canary).shoppers(arm) for arm in range(2)] == alone


def test_what_was_told_stays_and_is_replaced_by_more(homes: tuple[Home, Home]) -> None:
    """A home that is asked again tells all it counted; one that is gone has told what it did."""
    one, other = homes
    canary = on_trial(one)
    counter = other.serve(canary, range(10))
    for _ in range(2):
        other.follow()
        counter.add(CANARY, 1, counted.CLICKS)
    other.follow()
    for path in sorted(other.path.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    one.serve(canary, range(0))
    one.follow()
    assert one.counts(canary).total(CANARY, counted.CLICKS) == 2
    assert one.counts(canary).homes == 2
    other.follow()
    other.serve(canary, range(10, 20))  # it has lost its home, and begins anew
    other.follow()
    one.follow()
    assert sum(one.counts(canary).total(arm, counted.REQUESTS) for arm in range(2)) == 20


def test_another_step_begins_at_zero(homes: tuple[Home, Home]) -> None:
    """Nothing of a step that is over is heard in the next, and a day later gc removes it."""
    one, other = homes
    canary = on_trial(one)
    for each in homes:
        each.serve(canary, range(100))
        each.follow()
    later = canary.moved_to(2, 0.7)
    one.shared.move_canary(canary, later)
    one.serve(later, range(0))
    other.follow()
    one.follow()
    assert (one.counts(later).homes, one.counts(later).total(CONTROL, counted.REQUESTS)) == (1, 0)
    storage = Directory(one.path.parent / "shared")
    assert len(storage.entries(TRIALS)) == 3
    one.shared.clear(5)
    assert len(storage.entries(TRIALS)) == 3
    for path in (one.path.parent / "shared" / TRIALS).iterdir():
        os.utime(path, (0, time.time() - YOUNG_S - 60))
    one.shared.clear(5, dry_run=True)
    assert len(storage.entries(TRIALS)) == 3
    one.shared.clear(5)
    assert [later.key in name for name in storage.entries(TRIALS)] == [True]


def test_what_is_damaged_is_not_counted(homes: tuple[Home, Home]) -> None:
    """Whatever lies there in the name of a home; a name that is none is passed over."""
    one, other = homes
    canary = on_trial(one)
    other.serve(canary, range(50))
    one.serve(canary, range(50, 60))
    other.follow()
    (told,) = (one.path.parent / "shared" / TRIALS).iterdir()
    content = told.read_bytes()
    told.with_name(f"{canary.key}.home").write_bytes(content)
    for damaged in (b"", b"no counts", content[:-9], content[:-4] + bytes(4), zlib.compress(b"0")):
        told.write_bytes(damaged)
        one.follow()
        counts = one.counts(canary)
        assert (counts.homes, sum(counts.shoppers(arm) for arm in range(2))) == (1, 10)
    told.write_bytes(content)
    one.follow()
    assert one.counts(canary).homes == 2


def test_where_nothing_can_be_kept_a_line_says_so(homes: tuple[Home, Home]) -> None:
    """The registry's disk or the home's: named both, and what is there is judged by."""
    one, _ = homes
    canary = on_trial(one)
    one.serve(canary, range(2 * SHOPPERS))
    (one.path.parent / "shared" / TRIALS).write_bytes(b"")
    with pytest.raises(AwayError, match=r"counts of the trial, in .*shared or .*one: "):
        one.shared.exchange_counts()
    assert one.move(canary) is Move.ADVANCE


KILLED = """
import os, signal, sys
from pathlib import Path
from models.canary import Canary
from models.canary_counts import CANARY, REQUESTS, CanaryCounter
home, version, since = sys.argv[1:]
counter = CanaryCounter(Path(home), Canary(version, 1, 0.5, since))
for shopper in range(300):
    counter.add_shopper(CANARY, shopper)
    counter.add(CANARY, shopper, REQUESTS)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_worker_that_is_killed_has_counted(tmp_path: Path) -> None:
    """Killed without warning; who comes after it adds to that, and counts nobody twice."""
    canary = Canary.begun("v2", 1, 0.5, automatic=True)
    words = [sys.executable, "-c", KILLED, str(tmp_path), canary.version, canary.since]
    done = subprocess.run(words, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == -signal.SIGKILL
    after = CanaryCounter(tmp_path, canary)
    for shopper in range(200, 400):
        after.add_shopper(CANARY, shopper)
        after.add(CANARY, shopper, counted.REQUESTS)
    counts = read_counts(tmp_path, canary)
    assert (counts.total(CANARY, counted.REQUESTS), counts.shoppers(CANARY)) == (500, 400)


def test_who_is_late_removes_no_later_step(tmp_path: Path) -> None:
    """A worker that took long to load what was on trial begins a step that is over by then."""
    canary = Canary.begun("v2", 1, 0.05, automatic=True)
    later = canary.moved_to(2, 0.25)
    counter = CanaryCounter(tmp_path, later)
    CanaryCounter(tmp_path, canary)
    counter.add(CANARY, 1, counted.REQUESTS)
    assert read_counts(tmp_path, later).total(CANARY, counted.REQUESTS) == 1
