"""Figures beside what costs nothing, from the path that serves."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from features.offline import OfflineStore
from features.simulate import DEFAULT_UNTIL, World, simulate
from models.__main__ import cli
from models.choices import Choices, choose
from models.evaluate import CANDIDATES, MODEL, POPULARITY, SEGMENT, evaluate
from models.fit import fit
from models.metrics import best_new, quality
from models.parts import Parts
from models.ranker_features import RANKER_FEATURES
from models.window import Window, open_window
from tests.support.bundles import linear_ranker
from tests.support.histories import DAY_MS, tasteful, wines

CATALOGUE = wines(60)
CUT_MS, END_MS = 19_270 * DAY_MS, 19_366 * DAY_MS


@pytest.fixture(scope="module")
def window() -> Window:
    """Return a window of shoppers with a taste each."""
    return open_window(tasteful(), CATALOGUE, CUT_MS, END_MS)


@pytest.fixture(scope="module")
def parts(window: Window) -> Parts:
    """Return what was learnt before the window."""
    return fit(window.past, CATALOGUE, choose(CATALOGUE, window, 0), CUT_MS, 0)


def test_tastes_beat_popularity(parts: Parts, window: Window) -> None:
    """Candidates and segments know what each shopper buys, popularity does not."""
    figures = evaluate(parts, window).by_name
    assert figures[CANDIDATES].ndcg > 2 * figures[POPULARITY].ndcg
    assert figures[SEGMENT].ndcg > 2 * figures[POPULARITY].ndcg
    assert figures[MODEL].ndcg == figures[CANDIDATES].ndcg  # there is no ranker
    assert {each.users for each in figures.values()} == {len(window)}


def test_what_is_judged_is_the_graph_that_serves(parts: Parts, window: Window) -> None:
    """Another ranker graph gives other figures; its candidates stay what they were."""
    assert parts.personal is not None
    weights = np.random.default_rng(0).normal(size=len(RANKER_FEATURES)).astype(np.float32)
    ranked = replace(parts, personal=replace(parts.personal, ranker=linear_ranker(weights)))
    plain, figures = evaluate(parts, window).by_name, evaluate(ranked, window).by_name
    assert figures[CANDIDATES].ndcg == plain[MODEL].ndcg
    assert not np.array_equal(figures[MODEL].by_user, plain[MODEL].by_user)


def test_the_served_scorer_is_the_one_that_was_fitted(parts: Parts, window: Window) -> None:
    """Figures through the graph are those of the factors, worked out in numpy."""
    assert parts.personal is not None
    grades = window.known.matrix()[window.users]
    scores = (grades @ parts.personal.inputs) @ parts.personal.outputs.T
    lists = best_new(scores, np.arange(len(window)), window.blocked)
    expected = quality(lists, window.wanted, window.known.met())
    assert evaluate(parts, window).by_name[CANDIDATES].ndcg == pytest.approx(expected.ndcg)


def test_without_a_personal_part_segments_answer(parts: Parts, window: Window) -> None:
    """Too little to learn from: the model is as good as what its segments buy."""
    figures = evaluate(replace(parts, personal=None), window)
    assert figures.by_name[MODEL].ndcg == figures.by_name[SEGMENT].ndcg
    assert not figures.beats_segments


def test_gains_come_with_their_errors(window: Window) -> None:
    """A gain counts only beyond two standard errors."""
    figures = evaluate(fit(window.past, CATALOGUE, Choices(), CUT_MS, 0), window)
    told = figures.told()
    gain = told["gain"][SEGMENT]
    assert told["beats_segments"] == (gain["ndcg@10"] > 2 * gain["se"])
    assert told["beats_segments"]  # without a taste, segments are everybody
    assert json.dumps(told)


def test_the_command_prints_a_table_and_json(tmp_path: Path) -> None:
    """Every model stands beside the others; nothing is written."""
    simulate(OfflineStore(tmp_path), World(20_000, 0, DEFAULT_UNTIL))
    run = CliRunner().invoke(cli, ["evaluate"], env={"CUVEE_HOME": str(tmp_path)})
    assert run.exit_code == 0, run.output
    assert [line.split("  ")[0] for line in run.output.splitlines()[1:6]] == [
        "popularity",
        "recent popularity",
        "segment popularity",
        "candidates alone",
        "the model",
    ]
    run = CliRunner().invoke(cli, ["evaluate", "--json"], env={"CUVEE_HOME": str(tmp_path)})
    told = json.loads(run.output)
    assert 0 < told["model"]["ndcg@10"] <= 1
    assert told["choices"]["regularisation"] > 0
    assert not (tmp_path / "models").exists()
