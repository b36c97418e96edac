"""The model that serves beside the one before: what is worse is found, what is not is left."""

import json
import os
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from prometheus_client import CollectorRegistry

from features.errors import InputError
from features.lists import spool
from features.lists.carrier import Carrier
from monitoring import finding
from monitoring.__main__ import cli
from monitoring.drift.journal import Journal
from monitoring.finding import Severity
from monitoring.outcomes import attribution
from monitoring.outcomes.attribution import Tables
from monitoring.outcomes.policy import policy_in_force as outcomes_in_force
from monitoring.performance import sums
from monitoring.performance.judged import FILE, Judged, judged
from monitoring.performance.metrics import PerformanceMetrics
from monitoring.performance.policy import Policy, parse_policy, policy_in_force
from monitoring.performance.states import State
from monitoring.performance.sums import EVERYBODY, Summing, Versions
from monitoring.performance.verdict import Verdict
from monitoring.performance.watch import WAITED_S, PerformanceWatch
from tests.support.judged_shop import DAY_MS, NOW_MS, JudgedShop
from tests.support.listed import done, happen, list_line, serve, write_segment

OUTCOMES = outcomes_in_force()
POLICY = parse_policy(
    """
q: 0.01
segments: [page]
metrics: {ctr: {effect: 0.25, high: 0.3}, conversion: {effect: 0.4, high: 0.6}}
""",
    "x",
)
LARGE = parse_policy("q: 0.01\nsegments: [page]\nmetrics: {ctr: {effect: 0.4, high: 0.5}}", "x")
SUBTLE = parse_policy("metrics: {ctr: {effect: 0.05, high: 0.3}}", "x")


def told(shop: JudgedShop, policy: Policy = POLICY) -> Judged:
    """Return what is said of the model that serves."""
    return judged(shop.store, policy, OUTCOMES, NOW_MS)


def of(what: Judged, metric: str, segment: str | None = None) -> Verdict:
    """Return what is said of a metric."""
    return next(e for e in what.verdicts if (e.metric, e.segment) == (metric, segment))


@pytest.fixture(scope="module")
def worse(tmp_path_factory: pytest.TempPathFactory) -> JudgedShop:
    """Return a shop whose new model is clicked a third less often."""
    shop = JudgedShop(tmp_path_factory.mktemp("worse"))
    before, now = shop.promote(2)
    shop.serve(before, range(16, 36), 160, 0.24)
    shop.serve(now, range(16), 160, 0.16)
    return shop


def test_a_model_that_is_clicked_less_is_found(worse: JudgedShop) -> None:
    """With figures and intervals on both sides, over the shortest window that finds it."""
    what = told(worse)
    ctr = of(what, "ctr")
    assert ctr.live is not None
    assert ctr.base is not None
    assert (ctr.state, ctr.severity) == (State.WORSE, Severity.HIGH)
    assert ctr.live.value == pytest.approx(0.16, abs=0.03)
    assert ctr.base.value == pytest.approx(0.24, abs=0.02)
    assert ctr.change is not None
    assert ctr.change[1] < -1 / 3 < ctr.change[2] < 0
    assert ctr.q is not None
    assert ctr.q < 0.01
    assert ctr.least_lists is not None
    assert ctr.least_lists <= ctr.live.lists
    assert 1 < ctr.days < 28
    # The last day whose clicks are all known began two days ago, at midnight.
    assert ctr.span.end_ms == NOW_MS // DAY_MS * DAY_MS - DAY_MS
    assert of(what, "conversion").span.end_ms == ctr.span.end_ms - 6 * DAY_MS
    for page in ("home", "basket"):
        assert of(what, "ctr", f"page={page}").state is not State.INSUFFICIENT
    for metric in ("ndcg", "diversity", "coverage"):
        assert of(what, metric).state in {State.FINE, State.INSUFFICIENT}, metric
    assert what.notes == ("calibration is not judged: scores are not said to be probabilities",)


def test_a_large_drop_needs_fewer_lists_than_a_small_one(worse: JudgedShop) -> None:
    """Too few to find a twentieth, but a third is seen."""
    ctr = of(told(worse, SUBTLE), "ctr")
    assert ctr.live is not None
    assert ctr.least_lists is not None
    assert ctr.live.lists < ctr.least_lists
    assert ctr.severity is Severity.HIGH


def test_figures_are_those_of_a_plain_loop(
    worse: JudgedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By shopper; and the same however few rows are read at once."""
    live = told(worse).version
    summing = Summing(worse.store, POLICY, OUTCOMES, Versions(live, None), NOW_MS)
    window = summing.span("click", 7)
    tables = Tables(worse.store, OUTCOMES, window.start_ms, window.end_ms)
    clicked = set(tables.attribution().credits.filter(type="click")["recommendation_id"])
    x, y = defaultdict[str, int](int), defaultdict[str, int](int)
    for row in tables.lists().filter(model_version=live).collect().to_dicts():
        x[row["shopper"]] += row["recommendation_id"] in clicked
        y[row["shopper"]] += 1
    xs = np.array([x[user] for user in y], np.float64)
    ys = np.array([*y.values()], np.float64)

    whole = summing.sums().ratios["ctr", 7, True, EVERYBODY]
    assert (whole.shoppers, whole.lists, whole.x, whole.y) == (
        len(ys),
        ys.sum(),
        xs.sum(),
        ys.sum(),
    )
    squares = [float(one @ other) for one, other in ((xs, xs), (xs, ys), (ys, ys))]
    assert [whole.xx, whole.xy, whole.yy] == squares
    monkeypatch.setattr(attribution, "ROWS_AT_ONCE", 700)
    monkeypatch.setattr(sums, "ROWS_AT_ONCE", 700)
    parts = Summing(worse.store, POLICY, OUTCOMES, Versions(live, None), NOW_MS).sums()
    again = parts.ratios["ctr", 7, True, EVERYBODY]
    assert again == whole
    revenue = parts.ratios["revenue", 7, True, EVERYBODY]
    expected = summing.span("purchase", 7)
    assert revenue.lists == len(
        expected.of(Tables(worse.store, OUTCOMES, 0, NOW_MS).lists().collect()).filter(
            model_version=live
        )
    )


def _run(home: Path, *words: str, **variables: str) -> Result:
    return CliRunner().invoke(
        cli, ["performance", *words], env={"CUVEE_HOME": str(home), **variables}
    )


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be `NOW_MS`."""
    monkeypatch.setattr("time.time", lambda: NOW_MS / 1_000)


@pytest.mark.usefixtures("still")
def test_the_command_shows_and_leaves_what_it_found(worse: JudgedShop, tmp_path: Path) -> None:
    """What is worse first; JSON with every interval; findings for whoever acts on them."""
    home = worse.store.home
    done = _run(home)
    assert done.exit_code == 1, done.output
    lines = done.output.splitlines()
    assert lines[2].startswith("ctr")
    assert "worse: high" in lines[2]
    assert "--all shows them" in done.output
    assert "page=home" in _run(home, "--all").output
    left = json.loads((home / FILE).read_text())
    assert json.loads(_run(home, "--json").output)["metrics"][0] == left["metrics"][0]
    ctr = left["metrics"][0]
    assert (ctr["metric"], ctr["state"], ctr["severity"]) == ("ctr", "worse", "high")
    assert ctr["low"] < ctr["value"] < ctr["high"] < ctr["baseline"]["low"]
    found = finding.left(home, "performance")
    assert found is not None
    (first, *_) = (each for each in found if each.segment is None and each.subject == "ctr")
    assert (first.kind, first.severity) == (finding.Kind.PERFORMANCE, Severity.HIGH)
    assert first.value < first.threshold < ctr["baseline"]["value"]
    assert first.effect == pytest.approx(1 - first.value / first.threshold)
    money = [each for each in found if each.subject in {"conversion", "revenue"}]
    assert all(each.incumbent is not None and each.lists_per_day for each in money)
    (tmp_path / "p.yaml").write_text("metrics: {ctr: {effect: 0.5}}")
    refused = _run(home, "--policy", str(tmp_path / "p.yaml"))
    assert (refused.exit_code, "metrics.ctr: expected high" in refused.output) == (2, True)


@pytest.mark.parametrize("seed", range(2))
def test_a_model_that_is_as_good_is_left_alone(tmp_path: Path, seed: int) -> None:
    """No figure of any segment is said to be worse."""
    shop = JudgedShop(tmp_path, seed)
    before, now = shop.promote(2)
    shop.serve(before, range(16, 26), 100, 0.3)
    shop.serve(now, range(10), 100, 0.3)
    what = told(shop, LARGE)
    assert [each for each in what.verdicts if each.state is State.WORSE] == []
    assert of(what, "ctr").state is State.FINE
    assert list(what.findings()) == []


def test_what_is_held_back_on_purpose_is_not_the_models(tmp_path: Path) -> None:
    """Or popular items, which are clicked less, would have more shoppers held back."""
    shop = JudgedShop(tmp_path, 8)
    before, now = shop.promote(2)
    shop.serve(before, range(6, 9), 80, 0.5)
    shop.serve(now, range(2, 4), 80, 0.5, reason="unknown_user")
    shop.serve(now, range(2, 4), 80, 0.0, reason="fallback_share")
    ctr = of(told(shop, LARGE), "ctr")
    assert ctr.live is not None
    assert ctr.live.value == pytest.approx(0.5, abs=0.1)
    assert ctr.severity is None


def test_fallbacks_are_of_the_model_whose_shoppers_had_them(tmp_path: Path) -> None:
    """Or one that fails for half of its shoppers would be judged by the other half."""
    shop = JudgedShop(tmp_path, 9)
    before, now = shop.promote(2)
    shop.serve(before, range(2, 9), 80, 0.5)
    shop.serve(now, range(2, 6), 40, 0.5)
    shop.serve(now, range(2, 6), 40, 0.1, reason="model_error")
    ctr = of(told(shop, LARGE), "ctr")
    assert ctr.live is not None
    assert ctr.live.value == pytest.approx(0.3, abs=0.08)
    assert ctr.severity is not None


def test_two_shoppers_who_clicked_are_no_verdict(tmp_path: Path) -> None:
    """Though thirty of the segment were served: both are alike, which is no certainty."""
    shop = JudgedShop(tmp_path)
    for version, day, place in zip(shop.promote(2), (4, 2), (0, 1), strict=True):
        for page in ("home", "basket"):
            names = [f"{page}-{version}-{n}" for n in range(30)]
            at_ms = NOW_MS - day * DAY_MS
            lists = [
                list_line(
                    each, f"{page}-{n}", at_ms, ["i0", "i1"], page=page, model_version=version
                )
                for n, each in enumerate(names)
            ]
            serve(shop.store, *lists)
            clicks = [
                done(f"c{each}", f"{page}-{n}", f"i{place}", at_ms + 60_000, list_id=each)
                for n, each in enumerate(names[:2])
            ]
            happen(shop.store, *clicks)
    policy = parse_policy(
        "segments: [page]\n"
        "metrics: {accuracy: {effect: 0.2, high: 0.5}, ndcg: {effect: 0.1, high: 0.3}}",
        "x",
    )
    what = told(shop, policy)
    for metric in ("accuracy", "ndcg"):
        each = of(what, metric, "page=basket")
        assert (each.state, each.severity) == (State.INSUFFICIENT, None)
        assert each.live is not None
        assert (each.live.shoppers, each.live.lists) == (2, 30)


def test_traffic_is_of_the_days_that_were_served(tmp_path: Path) -> None:
    """Of a model that is two days old a window of seven has two days' lists."""
    shop = JudgedShop(tmp_path)
    before, now = shop.promote(2)
    shop.serve(before, range(10, 14), 60, 0.9, buys=1.0)
    shop.serve(now, range(8, 10), 60, 0.0)
    policy = parse_policy(
        "window_days: [7]\nsegments: []\nmetrics: {conversion: {effect: 0.4, high: 0.6}}", "x"
    )
    found = {each.subject: each for each in told(shop, policy).findings()}
    assert found["conversion"].lists_per_day == 60


def test_a_segment_alone_may_be_worse(tmp_path: Path) -> None:
    """The basket's lists, not those of the home page; fewer items show in coverage at once."""
    shop = JudgedShop(tmp_path, 5)
    before, now = shop.promote(2)
    shop.serve(before, range(16, 28), 130, 0.3)
    shop.serve(now, range(12), 130, lambda page: 0.1 if page == "basket" else 0.3, items=20)
    what = told(shop, LARGE)
    assert of(what, "ctr", "page=basket").severity is Severity.HIGH
    assert of(what, "ctr", "page=home").state is State.FINE
    coverage = of(what, "coverage")
    assert coverage.live is not None
    assert coverage.live.value == pytest.approx(0.5, abs=0.01)
    assert (coverage.state, coverage.severity) == (State.WORSE, Severity.HIGH)


def test_without_a_model_before_its_own_past_counts(tmp_path: Path) -> None:
    """And with too few lists, or none before, no verdict: what would be found is told instead."""
    shop = JudgedShop(tmp_path, 6)
    (version,) = shop.promote()
    shop.serve(version, range(1, 4), 60, 0.3)
    what = told(shop)
    assert what.base is None
    assert of(what, "ctr").state is State.NO_BASELINE
    shop.serve(version, range(30, 50), 60, 0.3)
    ctr = of(told(shop, SUBTLE), "ctr")
    assert ctr.state is State.INSUFFICIENT
    assert ctr.least_effect is not None
    assert ctr.least_effect > 0.1
    with_least = parse_policy("metrics: {ctr: {effect: 0.1, high: 0.5, least: 0.9}}", "x")
    ctr = of(told(shop, with_least), "ctr")
    assert (ctr.state, ctr.severity, ctr.threshold) == (State.WORSE, Severity.HIGH, 0.9)
    nearly = parse_policy("metrics: {ctr: {effect: 0.05, high: 0.5, least: 0.2}}", "x")
    assert of(told(shop, nearly), "ctr").state is State.INSUFFICIENT


def test_scores_that_are_probabilities_are_calibrated_or_not(tmp_path: Path) -> None:
    """Clicks for each that was predicted, and by score; scores beyond 0 and 1 are told."""
    policy = parse_policy(
        """
scores_are_probabilities: true
segments: []
metrics: {calibration: {effect: 0.3, high: 0.4}}
""",
        "x",
    )
    shop = JudgedShop(tmp_path, 7)
    (version,) = shop.promote()
    shop.serve(version, range(1, 11), 120, 0.3, score=0.075)
    what = told(shop, policy)
    right = of(what, "calibration")
    assert right.live is not None
    assert right.live.value == pytest.approx(1, abs=0.2)
    assert right.state is State.FINE
    (bin_,) = what.scores
    assert (bin_["from"], bin_["to"]) == (0.05, 0.1)
    assert bin_["clicks"] == pytest.approx(bin_["predicted"], rel=0.2)
    shop.serve(version, range(1, 11), 200, 0.3, score=0.15)
    wrong = of(told(shop, policy), "calibration")
    assert (wrong.state, wrong.severity) == (State.WORSE, Severity.MEDIUM)
    shop.serve(version, range(1, 3), 5, 0.3, score=7.0)
    assert "no probabilities" in told(shop, policy).notes[0]


@pytest.mark.parametrize("days", [-60, 60])
def test_a_clock_that_is_wrong_finds_nothing(worse: JudgedShop, days: int) -> None:
    """Lists of the future are none, and those of long ago are in no window."""
    what = judged(worse.store, POLICY, OUTCOMES, NOW_MS + days * DAY_MS)
    assert {each.state for each in what.verdicts} == {State.INSUFFICIENT}
    assert all(each.live is None for each in what.verdicts)
    assert list(what.findings()) == []


def test_lists_that_lack_something_say_what_they_can(tmp_path: Path) -> None:
    """No score at all, items of a catalogue that has none of them, one page for all, no event."""
    policy = parse_policy("scores_are_probabilities: true\nsegments: [page]", "x")
    shop = JudgedShop(tmp_path)
    (version,) = shop.promote()
    lists = [
        list_line(
            f"r{number}",
            f"u{number % 50}",
            NOW_MS - (2 + number % 9) * DAY_MS,
            ["new one", "another"],
            model_version=version,
            scores=[None, None],
        )
        for number in range(400)
    ]
    serve(shop.store, *lists)
    what = told(shop, policy)
    assert [each for each in what.verdicts if each.severity is not None] == []
    calibration = of(what, "calibration").live
    assert calibration is None or not calibration.is_known
    diversity = of(what, "diversity").live
    assert diversity is not None
    assert diversity.value == 1.0  # an item without a category is like no other
    assert what.scores == ()
    json.loads(json.dumps(what.figures()))


def test_no_model_and_no_list(tmp_path: Path) -> None:
    """One line each, and exit code 2."""
    done = _run(tmp_path)
    assert (done.exit_code, "there is no production model" in done.output) == (2, True)
    shop = JudgedShop(tmp_path)
    (version,) = shop.promote()
    done = _run(tmp_path)
    assert done.exit_code == 2
    assert f"no list of {version} is mature" in done.output
    assert finding.left(tmp_path, "performance") == []


async def test_beside_the_service(worse: JudgedShop, capsys: pytest.CaptureFixture[str]) -> None:
    """Figures for Prometheus; what is in the way is said, and tried again when it is time."""
    registry, now = CollectorRegistry(), 0.0
    home = worse.store.home
    watch = PerformanceWatch(home, PerformanceMetrics(registry), Journal(), 10, lambda: now)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time", lambda: NOW_MS / 1_000)
        await watch.step()
    value = registry.get_sample_value
    assert value("cuvee_performance_watching") == 1
    assert value("cuvee_performance_state", {"metric": "ctr"}) == 1
    assert value("cuvee_performance_low", {"metric": "ctr"}) < value(  # type: ignore[operator]
        "cuvee_performance_value", {"metric": "ctr"}
    )
    assert value("cuvee_performance_findings", {"severity": "high"}) >= 1  # type: ignore[operator]
    assert value("cuvee_performance_judged_timestamp_seconds") == NOW_MS / 1_000
    for later_s, judged_again in ((60, False), (DAY_MS / 1_000, True)):
        now += 60
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("time.time", lambda: NOW_MS / 1_000 + later_s)  # noqa: B023
            await watch.step()
        told_at = value("cuvee_performance_judged_timestamp_seconds")
        assert told_at == NOW_MS / 1_000 + later_s * judged_again

    other = PerformanceMetrics(CollectorRegistry())
    watch = PerformanceWatch(home / "nowhere", other, Journal(), 10, lambda: now)
    await watch.step()
    assert "there is no production model" in capsys.readouterr().err
    await watch.step()
    assert capsys.readouterr().err == ""
    await watch.close()


async def test_blind_only_where_there_is_something_to_see(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No list at all is nothing to see; lists that nobody carries into the table are."""
    shop = JudgedShop(tmp_path)
    shop.promote()
    registry, now = CollectorRegistry(), 0.0
    metrics = PerformanceMetrics(registry)
    watch = PerformanceWatch(tmp_path, metrics, Journal(), 10, lambda: now)

    async def step() -> tuple[float | None, ...]:
        nonlocal now
        now += 60
        await watch.step()
        names = ("cuvee_performance_lists", "cuvee_performance_watching")
        return tuple(map(registry.get_sample_value, names))

    assert await step() == (0, 1)
    write_segment(tmp_path, [list_line("r1", "ann", NOW_MS)])
    assert await step() == (1, 1)
    (segment,) = spool.whole_segments(tmp_path)
    hours_ago = time.time() - WAITED_S - 60
    os.utime(segment.path, (hours_ago, hours_ago))
    capsys.readouterr()
    assert await step() == (1, 0)
    assert "does python -m features consume --group offline run?" in capsys.readouterr().err
    Carrier(shop.store).carry()
    assert await step() == (1, 1)


def test_the_default_policy_is_complete() -> None:
    """All metrics, and calibration only where it is declared."""
    policy = policy_in_force()
    assert set(policy.metrics) == {
        "ctr", "conversion", "revenue", "ndcg", "accuracy", "calibration", "coverage", "diversity",
    }  # fmt: skip
    assert not policy.scores_are_probabilities
    assert policy.metrics["ctr"].least is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("window_days: []", "window_days: expected ascending days"),
        ("window_days: [7, 1]", "window_days: expected ascending days"),
        ("window_days: 7", "window_days: expected a list"),
        ("window_days: [0]", "window_days: expected a whole number from 1 to 366, got 0"),
        ("power: 0.2", "power: expected a number from 0.5 to 0.999, got 0.2"),
        ("q: true", "q: expected a number"),
        ("metrics: {ctrr: {effect: 1, high: 1}}", "there is no 'ctrr'; did you mean 'ctr'?"),
        ("metrics: {ctr: {effect: 0.2, high: 0.1}}", "ctr.high: expected a number from 0.2 to 1"),
        ("metrics: {ctr: {effect: 0.2, hi: 1}}", "there is no 'hi'"),
        ("metrics: {ctr: {effect: 0.2, high: 1, least: -1}}", "ctr.least: expected a number"),
        ("metrics: [ctr]", "metrics: expected a mapping"),
        ("segments: [country]", "there is no 'country'"),
        ("scores_are_probabilities: maybe", "scores_are_probabilities: expected true or false"),
        ("most_values: 0", "most_values: expected a whole number"),
        ("wndow_days: [1]", "there is no 'wndow_days'; did you mean 'window_days'?"),
    ],
)
def test_mistakes_are_told_by_field(text: str, said: str) -> None:
    """With what was expected."""
    with pytest.raises(InputError, match=r"^performance\.yaml") as raised:
        parse_policy(text, "performance.yaml")
    assert said in str(raised.value)
