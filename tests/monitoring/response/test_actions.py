"""Rolling back, raising the share, training anew: what each does, and when it would not."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from models.canary import Canary
from models.errors import AwayError
from models.registry import Registry
from models.shared_registry import SharedRegistry
from models.storage import Directory
from models.validated import VALIDATED, Validation
from monitoring.fallback_share import read_share, share_now
from monitoring.finding import Kind
from monitoring.response.case import WHO, Case
from monitoring.response.parse import parse_policy
from monitoring.response.policy import Action, Condition, Deed, Rule
from monitoring.response.raise_fallback import RaiseFallback
from monitoring.response.retrain import FOLDER, MOST_STARTS, Ended, Retrain
from monitoring.response.rollback import RollBack
from monitoring.response.state import State
from tests.support.found import START_S, found
from tests.support.limits import no_room
from tests.support.process import alive

Versions = tuple[str, str, str]

PYTHON = sys.executable
RULE = Rule("r", frozenset({Kind.DRIFT}), Condition(), (Deed(Action.ROLLBACK),))


def case(version: str, policy: str = "{}") -> Case:
    """Return a case of a finding of a model."""
    lead = found(version=version, at_s=START_S)
    return Case("id-1", RULE, (lead,), parse_policy(policy, "x"), START_S)


async def test_the_model_before_serves_again(registry: Registry, served: Versions) -> None:
    """With the reason in the history, and told how long that took."""
    first, second, _ = served
    doing = RollBack(registry, lambda: START_S + 7)
    assert await doing.refusal(case(second)) is None
    assert await doing.do(case(second)) == f"{first} serves again, 7.0 s after this was found"
    record = next(registry.history())
    assert (record.action, record.who) == ("rollback", WHO)
    assert record.why == "r: drift of spend: 0.4, limit 0.05 (high) [id-1]"


async def test_no_way_back(registry: Registry, versions: Versions) -> None:
    """Without a model before, of another model, of one on trial, and back to what was bad."""
    first, second, third = versions
    doing = RollBack(registry, lambda: START_S)
    told = await doing.refusal(case(first))
    assert told == f"this was found of {first}, and nothing serves"
    registry.promote(first)
    assert await doing.refusal(case(first)) == "there is no previous model to roll back to"
    registry.promote(second)
    told = await doing.refusal(case(first))
    assert told == f"this was found of {first}, and {second} serves"
    registry.start_canary(Canary.begun(third, 1, 0.1, automatic=True))
    assert "on trial" in (await doing.refusal(case(third)) or "")
    registry.rollback()
    told = await doing.refusal(case(first))
    assert told == f"{second}, the model before, was itself rolled back from"
    registry.promote(second)  # somebody knows better
    assert await doing.refusal(case(second)) is None


async def test_whoever_was_quicker_counts(registry: Registry, served: Versions) -> None:
    """Between the look and the move another model may come to serve: it is left alone."""
    _, second, third = served
    doing = RollBack(registry, lambda: START_S)
    assert await doing.refusal(case(second)) is None
    registry.promote(third)
    with pytest.raises(Exception, match="nothing was changed"):
        await doing.do(case(second))
    assert registry.production() == third


async def test_homes_that_share_a_registry(
    tmp_path: Path, registry: Registry, versions: Versions
) -> None:
    """The move is made there, and followed here; while it is away it is refused."""
    first, second, _ = versions
    shared = SharedRegistry(Directory(tmp_path / "shared"), registry)
    for version in (first, second):
        shared.promote(version)
    doing = RollBack(shared, lambda: START_S)
    assert await doing.refusal(case(second)) is None
    await doing.do(case(second))
    assert registry.production() == shared.aliases().production == first
    assert "was itself rolled back from" in (await doing.refusal(case(first)) or "")
    (tmp_path / "file").touch()
    away = RollBack(SharedRegistry(Directory(tmp_path / "file"), registry), lambda: START_S)
    with pytest.raises(AwayError):
        await away.refusal(case(first))


async def test_the_share_rises_step_by_step(tmp_path: Path) -> None:
    """To its most and no further; there it is only kept for longer."""
    now_s = START_S
    doing = RaiseFallback(tmp_path, lambda: now_s)
    policy = "actions: {fallback: {share: 0.2, up_to: 0.5, for: 10m}}"
    shares, told = [], ""
    for _ in range(4):
        told = await doing.do(case("v1", policy))
        shares.append(share_now(tmp_path, now_s))
        now_s += 60
    assert shares == pytest.approx([0.2, 0.4, 0.5, 0.5])
    assert told == "50% of shoppers get popular items for 10 min, 50% before"
    share = read_share(tmp_path)
    assert share is not None
    assert share.until_s == now_s - 60 + 600
    assert share_now(tmp_path, share.until_s) == 0
    assert await doing.refusal(case("v1", policy)) is None
    with no_room(), pytest.raises(OSError, match="large"):
        await doing.do(case("v1", policy))
    assert read_share(tmp_path) == share


class Trainer:
    """Trains by a program of its own, and looks what came of it."""

    def __init__(self, home: Path, versions: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
        """Train beside the second of three models, which serves."""
        self.home = home
        self.registry = Registry(home)
        self.other, self.serving, self.new = versions
        self.now_s = START_S
        self.state = State()
        self.policy = parse_policy("{}", "x")
        self._patch = monkeypatch
        self.restart()

    def restart(self) -> None:
        """Forget the child, as if this process had been killed."""
        self.retrain = Retrain(self.home, self.registry, self.state, lambda: self.now_s)

    def program(self, text: str) -> None:
        """Train by this program."""
        path = self.home / "program"
        path.write_text(f"#!{PYTHON}\nimport json, os, sys, time\n{text}\n")
        path.chmod(0o755)
        self._patch.setattr(sys, "executable", str(path))

    def tells(self, **result: Any) -> None:
        """Train by a program that tells this."""
        self.program(f"print(json.dumps({result!r}))")

    async def begin(self) -> None:
        """Begin to train."""
        about = case(self.serving)
        assert await self.retrain.refusal(about) is None
        await self.retrain.do(about)

    async def ended(self) -> Ended:
        """Wait for the end."""
        async with asyncio.timeout(30):
            while (told := await self.retrain.look(self.policy)) is None:
                await asyncio.sleep(0.01)
        return told

    def served_by(self, serve: str) -> None:
        """Say how a model comes to serve."""
        self.policy = parse_policy(f"actions: {{retrain: {{serve: {serve}}}}}", "x")

    def kill(self) -> None:
        """End the child, as it ends with its monitor."""
        assert self.retrain._child is not None
        self.retrain._child.kill()
        self.retrain._child.wait()

    def log(self) -> str:
        """Return what the child said."""
        return (self.home / FOLDER / "id-1.log").read_text()


@pytest.fixture
def trainer(tmp_path: Path, served: Versions, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """Return a trainer."""
    return Trainer(tmp_path, served, monkeypatch)


def judged(trainer: Trainer, low: float) -> dict[str, Any]:
    """Return what training tells of the second model beside the first."""
    span = ("2026-01-01T00:00:00+00:00", "2026-01-08T00:00:00+00:00")
    figures = Validation(trainer.serving, 90, *span, 0.02, 0.1, 0.12, 0.02, low, 0.04)
    return {"version": trainer.new, "role": "candidate", VALIDATED: figures.told()}


async def test_a_model_that_is_no_worse_serves(trainer: Trainer) -> None:
    """Trained beside the one that serves, by the command that people use, as nice as told."""
    trainer.program(
        "print(os.nice(0), *sys.argv[1:], os.environ['CUVEE_HOME'], file=sys.stderr)\n"
        f"print(json.dumps({judged(trainer, 0.01)!r}))"
    )
    await trainer.begin()
    told = await trainer.ended()
    assert told.is_good
    assert told.led_to.startswith(f"{trainer.new} serves: no worse: NDCG@10 0.1200 after 0.1000")
    assert trainer.registry.production() == trainer.new
    record = next(trainer.registry.history())
    assert (record.who, record.why.startswith("r: drift of spend")) == (WHO, True)
    assert trainer.state.training is None
    words = trainer.log().split()
    assert words[:5] == [str(min(os.nice(0) + 15, 19)), "-m", "models", "train", "--if-stale"]
    assert words[words.index("--against") + 1] == trainer.serving
    assert words[words.index("--mature-s") + 1] == "86400"
    assert words[-1] == str(trainer.home)


async def test_a_model_that_may_be_worse_waits(trainer: Trainer) -> None:
    """With the reason; the one before serves on."""
    trainer.tells(**judged(trainer, -0.01))
    await trainer.begin()
    told = await trainer.ended()
    assert not told.is_good
    assert told.led_to.startswith(f"{trainer.new} is left as candidate: not surely as good")
    assert trainer.registry.production() == trainer.serving


async def test_how_it_comes_to_serve_is_declared(trainer: Trainer) -> None:
    """As a canary, or by whoever decides."""
    trainer.tells(**judged(trainer, 0.01))
    trainer.served_by("by_hand")
    await trainer.begin()
    assert "it is promoted by hand" in (await trainer.ended()).led_to
    trainer.served_by("canary")
    await trainer.begin()
    assert f"{trainer.new} is on trial" in (await trainer.ended()).led_to
    canary = trainer.registry.canary()
    assert canary is not None
    assert canary.version == trainer.new
    trainer.served_by("at_once")
    await trainer.begin()
    assert "is on trial" in (await trainer.ended()).led_to
    assert trainer.registry.production() == trainer.serving


async def test_what_was_taken_back_is_not_tried_again(trainer: Trainer) -> None:
    """A model that waits is told of again while nothing is new; a trial that ended has ended."""
    trainer.registry.set_candidate(trainer.new)
    trainer.tells(**judged(trainer, 0.01))
    trainer.served_by("canary")
    await trainer.begin()
    assert f"{trainer.new} is on trial" in (await trainer.ended()).led_to
    canary = trainer.registry.canary()
    assert canary is not None
    trainer.registry.move_canary(canary, None, "it does harm")
    await trainer.begin()
    told = await trainer.ended()
    assert told.led_to.startswith(f"{trainer.new} is left as candidate: it was tried before; no")
    assert trainer.registry.canary() is None
    trainer.registry.set_candidate(trainer.new)  # somebody knows better
    await trainer.begin()
    assert f"{trainer.new} is on trial" in (await trainer.ended()).led_to


async def test_another_model_came_to_serve_meanwhile(trainer: Trainer) -> None:
    """It was not the one that was compared with: the new one waits."""
    trainer.tells(**judged(trainer, 0.01))
    await trainer.begin()
    trainer.registry.promote(trainer.other)
    assert f"{trainer.other} came to serve meanwhile" in (await trainer.ended()).led_to
    assert trainer.registry.production() == trainer.other


async def test_a_model_that_cannot_be_loaded_is_left(trainer: Trainer) -> None:
    """The registry refuses it; what serves goes on."""
    told = {**judged(trainer, 0.01), "version": "20260101T000000Z-00000000"}
    trainer.tells(**told)
    await trainer.begin()
    assert "is left as candidate: there is no model" in (await trainer.ended()).led_to


async def test_one_at_a_time_and_only_of_what_serves(trainer: Trainer) -> None:
    """What is found of another model says nothing of this one's."""
    trainer.program("time.sleep(60)")
    assert "serves" in (await trainer.retrain.refusal(case("v0")) or "")
    await trainer.begin()
    assert await trainer.retrain.refusal(case(trainer.serving)) == "a training is under way, id-1"
    assert await trainer.retrain.look(trainer.policy) is None
    pid = trainer.retrain.pid
    assert pid is not None
    trainer.now_s += 6 * 3_600
    assert "ended after 6 h" in (await trainer.ended()).led_to
    assert not alive(pid)


@pytest.mark.parametrize(
    ("program", "led_to"),
    [
        ("print('error: no items', file=sys.stderr); sys.exit(2)", "failed: error: no items"),
        ("os.kill(os.getpid(), 9)", "failed: exit code -9"),
        ("print('no JSON')", "failed: exit code 0"),
        ("print(json.dumps({'version': None}))", "there is nothing to learn from"),
        ("print(json.dumps({'version': 'v9'}))", "v9 is left as candidate: KeyError"),
    ],
)
async def test_a_training_that_comes_to_nothing(
    trainer: Trainer, program: str, led_to: str
) -> None:
    """Says why, and may be begun again."""
    trainer.program(program)
    await trainer.begin()
    told = await trainer.ended()
    assert (told.is_good, led_to in told.led_to) == (False, True), told.led_to
    assert await trainer.retrain.refusal(case(trainer.serving)) is None


async def test_a_monitor_that_dies_takes_its_training_with_it(trainer: Trainer) -> None:
    """The next one starts it again; one that keeps dying is given up."""
    trainer.program("time.sleep(60)")
    await trainer.begin()
    for start in range(2, MOST_STARTS + 1):
        trainer.kill()
        trainer.restart()
        assert await trainer.retrain.look(trainer.policy) is None
        assert trainer.state.training is not None
        assert trainer.state.training.starts == start
    trainer.retrain.stop()  # in peace: that does not count
    trainer.restart()
    assert await trainer.retrain.look(trainer.policy) is None
    trainer.kill()
    trainer.restart()
    assert f"died with its monitor {MOST_STARTS} times" in (await trainer.ended()).led_to


async def test_a_training_that_had_ended_before_its_monitor_is_concluded(trainer: Trainer) -> None:
    """Without being done again."""
    trainer.tells(**judged(trainer, 0.01))
    await trainer.begin()
    assert trainer.retrain._child is not None
    assert trainer.retrain._child.wait(30) == 0
    trainer.restart()
    trainer.program("sys.exit(1)")
    assert (await trainer.ended()).is_good
    assert trainer.registry.production() == trainer.new


async def test_a_disk_that_is_full_starts_nothing(trainer: Trainer) -> None:
    """It is an error, told to whoever asked."""
    (trainer.home / "response").write_text("in the way")
    with pytest.raises(OSError, match="response"):
        await trainer.retrain.do(case(trainer.serving))
    assert trainer.state.training is None


def test_figures_survive_being_told() -> None:
    """What training tells is what is read."""
    figures = Validation("v1", 0, "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00", 0.02)
    assert Validation.of(json.loads(json.dumps(figures.told()))) == figures
