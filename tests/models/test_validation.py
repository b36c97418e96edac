"""Beside the model that serves: the same shoppers, paired, and no benefit of the doubt."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from models import train_command
from models.__main__ import cli
from models.bootstrap import mean_interval
from models.bundle import write_bundle
from models.errors import ConflictError, ModelsError
from models.model import Model
from models.parts import LEARNT_UNTIL_MS, Parts
from models.registry import Registry
from models.replay import ranked_lists
from models.timeline import NOW, TEST, Timeline
from models.validated import VALIDATED, Validation
from models.validation import Against, validate
from tests.support.bundles import small_parts
from tests.support.failing import failing_parts
from tests.support.histories import DAY_MS, tasteful, wines

CATALOGUE = wines(60)


@pytest.fixture(scope="module")
def timeline() -> Timeline:
    """Return the past of shoppers with a taste each."""
    return Timeline(tasteful(), CATALOGUE, 0)


@pytest.fixture(scope="module")
def parts(timeline: Timeline) -> Parts:
    """Return what was learnt before the last tenth."""
    return timeline.parts(TEST)


def stranger(items: int = 60) -> Model:
    """Return a model that knows nothing of these shoppers, of the first of the same wines."""
    return Model(small_parts(items))


def test_as_good_as_itself_is_no_worse(timeline: Timeline, parts: Parts) -> None:
    """Equal lists gain nothing, exactly; the reason says who was judged, and over which time."""
    told = validate(timeline, parts, Against(Model(parts)))
    assert (told.gain, told.low, told.high) == (0, 0, 0)
    assert told.users == len(timeline.split(TEST))
    assert told.is_no_worse
    assert str(told).startswith("no worse: NDCG@10 ")
    assert f"{told.users} shoppers, 20" in str(told)
    assert Validation.of(told.told()) == told


def test_better_and_worse_are_told_apart(timeline: Timeline, parts: Parts) -> None:
    """Whichever of the two serves."""
    better = validate(timeline, parts, Against(stranger()))
    assert better.low is not None
    assert better.is_no_worse
    assert better.low > 0.05
    bad = small_parts(60)
    worse = validate(timeline, bad, Against(Model(parts)))
    assert worse.high is not None
    assert worse.high < 0
    assert not worse.is_no_worse
    assert str(worse).startswith("not surely as good: NDCG@10 ")


def test_a_little_worse_is_allowed_if_it_surely_is_little(timeline: Timeline, parts: Parts) -> None:
    """The whole interval counts, not its middle."""
    told = validate(timeline, parts, Against(Model(parts)))
    assert told.theirs is not None
    allowed = told.margin * told.theirs
    assert replace(told, low=-0.9 * allowed, gain=0.1).is_no_worse
    assert not replace(told, low=-1.1 * allowed, gain=0.1).is_no_worse


def test_items_are_known_by_their_ids(timeline: Timeline, parts: Parts) -> None:
    """A model of fewer items, or with some that are gone, is judged by what it really shows."""
    fewer = validate(timeline, parts, Against(stranger(30)))
    gone = tuple(f"gone-{row}" for row in range(60))
    nobody = validate(timeline, parts, Against(Model(small_parts(60, ids=gone))))
    assert nobody.theirs == 0
    assert fewer.theirs is not None
    assert 0 < fewer.theirs < (fewer.ours or 0)
    assert nobody.is_no_worse


def test_only_what_has_matured_judges(timeline: Timeline, parts: Parts) -> None:
    """The days at the end do not count yet; where nothing is left nobody can be judged."""
    whole = validate(timeline, parts, Against(Model(parts)))
    span_ms = timeline.moment(NOW) - timeline.moment(TEST)
    half = validate(timeline, parts, Against(Model(parts), mature_ms=span_ms // 2))
    assert 0 < half.users < whole.users
    assert half.until < whole.until
    assert half.since == whole.since
    none = validate(timeline, parts, Against(stranger(), mature_ms=span_ms + DAY_MS))
    assert (none.users, none.is_no_worse) == (0, False)
    assert "0 shoppers can be judged" in str(none)


def test_what_the_other_learnt_from_does_not_judge(timeline: Timeline, parts: Parts) -> None:
    """It knows those wishes; of the same data nothing is left to compare by."""

    def judged(until_ms: int) -> Validation:
        other = replace(parts, parameters={LEARNT_UNTIL_MS: until_ms})
        return validate(timeline, parts, Against(Model(other)))

    whole, end_ms = validate(timeline, parts, Against(Model(parts))), timeline.moment(NOW)
    assert judged(timeline.moment(TEST)) == whole
    later = judged((timeline.moment(TEST) + end_ms) // 2)
    assert 0 < later.users < whole.users
    assert whole.since < later.since < later.until == whole.until
    none = judged(end_ms)
    assert (none.users, none.is_no_worse) == (0, False)
    assert "0 shoppers can be judged by what it did not learn from" in str(none)


def test_what_could_not_be_learnt_is_not_better(timeline: Timeline, parts: Parts) -> None:
    """Nor does it serve."""
    told = validate(timeline, None, Against(Model(parts)))
    assert not told.is_no_worse
    assert "cannot be compared" in str(told)


def test_a_model_that_cannot_rank_is_judged_by_what_is_shown_instead(
    timeline: Timeline, parts: Parts
) -> None:
    """Popular items, as the service shows them."""
    broken = Model(failing_parts(60))
    with pytest.raises(ModelsError):
        ranked_lists(broken, timeline.split(TEST))
    told = validate(timeline, parts, Against(broken))
    assert told.theirs is not None
    assert told.is_no_worse


def test_the_interval_of_a_mean() -> None:
    """Is as wide as theory says, and a point where nothing spreads."""
    values = np.random.default_rng(4).normal(0.5, 2.0, 900)
    low, high = mean_interval(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 30, rel=0.1)
    assert mean_interval(np.ones(20)) == (1, 1)


def test_it_decides_which_model_serves(tmp_path: Path, timeline: Timeline, parts: Parts) -> None:
    """No worse than the one that still serves: it does; else it waits, whatever else is said."""
    registry = Registry(tmp_path)
    first = write_bundle(tmp_path / "models", small_parts())
    registry.promote(first)
    told = replace(validate(timeline, parts, Against(stranger())), incumbent=first)

    def placed(validation: Validation, seed: int) -> str:
        metrics = {VALIDATED: validation.told(), "beats_segments": True}
        made = replace(small_parts(seed=seed), metrics=metrics)
        version = write_bundle(tmp_path / "models", made)
        return train_command._place(registry, version, made, promote=True, why="drift", who="me")

    assert placed(replace(told, low=-1.0), 11) == "candidate"
    assert placed(replace(told, incumbent="another"), 12) == "candidate"
    assert placed(told, 13) == "production"
    record = next(registry.history())
    assert (record.action, record.why, record.who) == ("promote", "drift", "me")


def test_only_the_model_that_serves_is_rolled_back_from(registry: Registry) -> None:
    """Whoever means another one is told who was quicker."""
    first, second = (write_bundle(registry.directory, small_parts(n)) for n in (30, 31))
    registry.promote(first)
    registry.promote(second)
    with pytest.raises(ConflictError, match=f"production is {second}; nothing was changed"):
        registry.rollback(serves=first)
    assert registry.rollback(serves=second) == first


def test_there_must_be_something_to_measure_against(tmp_path: Path) -> None:
    """Before anything is learnt: one line says that nothing serves."""
    words = ["train", "--against", "production"]
    done = CliRunner().invoke(cli, words, env={"CUVEE_HOME": str(tmp_path)})
    assert (done.exit_code, done.output) == (2, "error: there is no production model\n")
