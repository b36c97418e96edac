"""Figures beside what costs nothing, from the path that serves."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from features.demo_shop.simulate import DEFAULT_UNTIL, World, simulate
from features.offline.store import OfflineStore
from models.__main__ import cli
from models.baselines import ALS, EASE, KNN
from models.choices import Choices, choose
from models.evaluate import (
    CANDIDATES,
    LEAST_OF_A_SEGMENT,
    MODEL,
    POPULARITY,
    SEGMENT,
    UNSEGMENTED,
    evaluate,
)
from models.evaluate_command import _line
from models.fit import fit
from models.metrics import best_new, quality
from models.parts import Parts
from models.ranker_features import RANKER_FEATURES
from models.split import Split, temporal_split
from models.timeline import Timeline
from models.titles import FIGURES, HISTORY, LEFT_OUT, SPLITS, TEMPORAL, beside_popularity
from models.training import read
from tests.support.bundles import linear_ranker
from tests.support.histories import DAY_MS, tasteful, wines

CATALOGUE = wines(60)
CUT_MS, END_MS = 19_270 * DAY_MS, 19_366 * DAY_MS


@pytest.fixture(scope="module")
def split() -> Split:
    """Return a split of shoppers with a taste each."""
    return temporal_split(tasteful(), CATALOGUE, CUT_MS, END_MS)


@pytest.fixture(scope="module")
def parts(split: Split) -> Parts:
    """Return what was learnt before the split."""
    return fit(split.past, split.known, CATALOGUE, choose(CATALOGUE, split), CUT_MS)


def test_tastes_beat_popularity(parts: Parts, split: Split) -> None:
    """Candidates and segments know what each shopper buys, popularity does not."""
    figures = evaluate(parts, split).by_name
    assert figures[CANDIDATES].ndcg > 2 * figures[POPULARITY].ndcg
    assert figures[SEGMENT].ndcg > 2 * figures[POPULARITY].ndcg
    assert figures[MODEL].ndcg == figures[CANDIDATES].ndcg  # there is no ranker
    assert {each.users for each in figures.values()} == {len(split)}


def test_what_is_judged_is_the_graph_that_serves(parts: Parts, split: Split) -> None:
    """Another ranker graph gives other figures; its candidates stay what they were."""
    assert parts.personal is not None
    weights = np.random.default_rng(0).normal(size=len(RANKER_FEATURES)).astype(np.float32)
    ranked = replace(parts, personal=replace(parts.personal, ranker=linear_ranker(weights)))
    plain, figures = evaluate(parts, split).by_name, evaluate(ranked, split).by_name
    assert figures[CANDIDATES].ndcg == plain[MODEL].ndcg
    assert not np.array_equal(figures[MODEL].by_user, plain[MODEL].by_user)


def test_the_served_scorer_is_the_one_that_was_fitted(parts: Parts, split: Split) -> None:
    """Figures through the graph are those of the factors, worked out in numpy."""
    assert parts.personal is not None
    grades = split.known.matrix()[split.users]
    scores = (grades @ parts.personal.inputs) @ parts.personal.outputs.T
    lists = best_new(scores, np.arange(len(split)), split.blocked)
    expected = quality(lists, split.wanted, split.known.met())
    assert evaluate(parts, split).by_name[CANDIDATES].ndcg == pytest.approx(expected.ndcg)


def test_without_a_personal_part_segments_answer(parts: Parts, split: Split) -> None:
    """Too little to learn from: the model is as good as what its segments buy."""
    figures = evaluate(replace(parts, personal=None), split)
    assert figures.by_name[MODEL].ndcg == figures.by_name[SEGMENT].ndcg
    assert not figures.beats_segments


def test_gains_come_with_their_errors(split: Split) -> None:
    """A gain counts only beyond two standard errors."""
    figures = evaluate(fit(split.past, split.known, CATALOGUE, Choices(), CUT_MS), split)
    told = figures.told()
    gain = told["gain"][SEGMENT]
    assert told["beats_segments"] == (gain["ndcg@10"] > 2 * gain["se"])
    assert told["beats_segments"]  # without a taste, segments are everybody
    assert json.dumps(told)


def test_segments_are_told_of_where_they_are_large_enough(parts: Parts, split: Split) -> None:
    """Each shopper judged is in one; NDCG@10 of each list, as far as 20 shoppers are in it."""
    figures = evaluate(parts, split)
    assert len(figures.segments) == len(split)
    told = figures.by_segment()
    assert set(told) <= set(parts.segments.names)
    for name, each in told.items():
        own = figures.by_name[MODEL].by_user[np.array(figures.segments) == name]
        assert each["users"] == len(own) >= LEAST_OF_A_SEGMENT
        assert each[MODEL]["ndcg@10"] == pytest.approx(own.mean(), abs=1e-5)
    assert told
    assert json.dumps(told)


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (0.02, "better than popularity: +0.0200, 95 % from +0.0004 to +0.0396"),
        (-0.02, "worse than popularity: -0.0200, 95 % from -0.0396 to -0.0004"),
        (0.019, "not told apart from popularity: +0.0190, 95 % from -0.0006 to +0.0386"),
    ],
)
def test_whether_popularity_is_beaten_is_said_in_words(gain: float, words: str) -> None:
    """Better or worse only where the interval holds no 0; who is in no segment is counted."""
    told = {"gain": {POPULARITY: {"ndcg@10": gain, "se": 0.01}}, MODEL: {"users": 1_200}}
    assert beside_popularity(told) == f"the model is {words}"
    told_of_some = beside_popularity({**told, UNSEGMENTED: 1_100})
    assert told_of_some == f"the model is {words}; 1,100 of 1,200 are in no segment"


def test_next_to_nothing_is_0_from_either_side() -> None:
    """Bounds a hair below 0 are printed as 0 is."""
    figures = dict.fromkeys((*FIGURES, "ndcg@10_low", "ndcg@10_high"), -0.00002)
    told = {MODEL: figures, "gain": {MODEL: {"ndcg@10": -0.00002, "se": 0.0}}}
    assert "-0.0000" not in " ".join(_line(MODEL, told))


def test_other_lists_stand_beside_ours(parts: Parts, split: Split) -> None:
    """What is handed in is judged on the same shoppers; a perfect list finds everything."""
    figures = evaluate(parts, split, {"perfect": list(split.wanted)})
    assert figures.by_name["perfect"].ndcg == pytest.approx(1)
    assert figures.told()["gain"]["perfect"]["ndcg@10"] < 0


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the home of a demo shop."""
    home = tmp_path_factory.mktemp("shop")
    simulate(OfflineStore(home), World(20_000, 0, DEFAULT_UNTIL))
    return home


def test_the_command_prints_a_table_without_the_extra(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours stand beside the others; that the libraries are missing is said; nothing is written."""
    monkeypatch.setitem(sys.modules, "cornac", None)
    run = CliRunner().invoke(cli, ["evaluate"], env={"CUVEE_HOME": str(shop)})
    assert run.exit_code == 0, run.output
    assert "cuvee[baselines]" in run.stderr
    lines = run.stdout.splitlines()
    at = next(row for row, line in enumerate(lines) if line.startswith(HISTORY))
    assert [line.split("  ")[0] for line in lines[at + 2 : at + 7]] == [
        "popularity",
        "recent popularity",
        "segment popularity",
        "candidates alone",
        "the model",
    ]
    assert lines[at + 7].startswith("the model is better than popularity: +")
    assert not (shop / "models").exists()


def test_the_command_compares_on_both_splits(shop: Path, tmp_path: Path) -> None:
    """With the libraries: item-kNN, ALS and EASE on both, all intervals in JSON, and a page."""
    pytest.importorskip("implicit", reason="needs the extra `baselines`")
    pytest.importorskip("cornac", reason="needs the extra `baselines`")
    page = tmp_path / "new" / "page.html"
    words = ["evaluate", "--split", "both", "--json", "--report", str(page)]
    run = CliRunner().invoke(cli, words, env={"CUVEE_HOME": str(shop)})
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)
    for split in (TEMPORAL, LEFT_OUT):
        for name in (POPULARITY, SEGMENT, KNN, ALS, EASE, MODEL):
            figures = told[split][name]
            for each in FIGURES:
                assert figures[f"{each}_low"] <= figures[each] <= figures[f"{each}_high"]
    assert told[TEMPORAL][EASE]["ndcg@10"] > told[TEMPORAL][POPULARITY]["ndcg@10"]
    assert told[TEMPORAL][MODEL]["users"] != told[LEFT_OUT][MODEL]["users"]
    assert told["choices"]["regularisation"] > 0
    assert told["baselines"][KNN]["settings"] in told["baselines"][KNN]["validation"]
    assert all(title in page.read_text(encoding="utf-8") for title in SPLITS.values())


def test_what_comes_meanwhile_is_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version that is told is the one that was read, though events came before that."""
    store = OfflineStore(tmp_path)
    simulate(store, World(1_000, 0, DEFAULT_UNTIL))
    version, events, seen = store.version(), store.count("events"), list[int]()
    more = store.scan("events").head(10).collect()

    def read_late(pinned: OfflineStore, seed: int) -> Timeline:
        ids = pl.format("late {}", pl.col("event_id"))
        store.append_events(more.with_columns(event_id=ids).to_arrow())
        seen.append(pinned.count("events"))
        return read(pinned, seed)

    monkeypatch.setattr("models.evaluate_command.read", read_late)
    monkeypatch.setattr("models.evaluate_command.measure", lambda *_: {"baselines": {}})
    run = CliRunner().invoke(cli, ["evaluate", "--json"], env={"CUVEE_HOME": str(tmp_path)})
    assert run.exit_code == 0, run.output
    assert (json.loads(run.stdout)["dataset_version"], seen) == (version, [events])
    assert store.count("events") == events + 10


def test_too_little_to_judge_is_the_users_to_know(tmp_path: Path) -> None:
    """Exit code 2 and one line; nothing is left behind."""
    simulate(OfflineStore(tmp_path), World(1_000, 0, DEFAULT_UNTIL))
    run = CliRunner().invoke(cli, ["evaluate"], env={"CUVEE_HOME": str(tmp_path)})
    assert (run.exit_code, "too few shoppers" in run.output) == (2, True)
