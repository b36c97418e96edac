"""What slo.yaml may say, and that each mistake in it is told by its field."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from features.errors import InputError
from monitoring.slo.objectives import Level, Ratio, parse_slo, read_slo
from monitoring.slo.rules import Rules
from tests.support.promql import metrics_of

ROOT = Path(__file__).parents[3]
SLO = ROOT / "deploy" / "slo.yaml"


def told(path: str, value: object) -> str:
    """Return the objectives that are shipped, with `value` at a dotted path; None: without it."""
    slo = yaml.safe_load(SLO.read_text(encoding="utf-8"))
    *parents, last = path.split(".")
    place: Any = slo
    for each in parents:
        place = place[int(each) if each.isdigit() else each]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return yaml.safe_dump(slo, sort_keys=False)


def test_what_is_shipped() -> None:
    """Five objectives over a month, each with the three alerts of the workbook."""
    slo = read_slo(SLO)
    assert [each.name for each in slo.objectives] == [
        "availability",
        "in_time",
        "personal",
        "events_accepted",
        "events_fresh",
    ]
    assert [(each.factor, each.long.name, each.short.name) for each in slo.burns] == [
        (14.4, "1h", "5m"),
        (6, "6h", "30m"),
        (1, "3d", "6h"),
    ]
    kinds = [type(each.measure) for each in slo.objectives]
    assert kinds == [Ratio, Ratio, Ratio, Ratio, Level]
    assert slo.objectives[1].alert == "CuveeInTimeBurn"
    assert slo.objectives[1].budget == 0.001


MISTAKES: list[tuple[str, Any, str]] = [
    ("window_days", 0, "slo.yaml: window_days: expected a whole number from 1 to 366, got 0"),
    ("window_days", None, "slo.yaml: window_days: is missing"),
    ("window_dais", 3, "slo.yaml: there is no 'window_dais'; did you mean 'window_days'?"),
    ("min_events", True, "slo.yaml: min_events: expected a whole number"),
    ("alerts", {}, "slo.yaml: alerts: expected a list"),
    ("alerts", [], "slo.yaml: alerts: expected at least one"),
    ("alerts.0.factor", "fast", "slo.yaml: alerts[0].factor: expected a number"),
    ("alerts.0.long", "1 hour", "alerts[0].long: expected a duration such as 5m, 6h or 3d"),
    ("alerts.0.long", "90d", "alerts[0].long: expected at most window_days, 30d; got 90d"),
    ("alerts.1.short", "6h", "alerts[1].short: expected less than long, 6h; got 6h"),
    ("alerts.1.short", "45s", "alerts[1].short: expected at least 1m, got 45s"),
    ("alerts.1.long", "60m", "slo.yaml: alerts: expected each `long` once"),
    ("alerts.2.pages", "no", "alerts[2].pages: expected true or false, got 'no'"),
    ("alerts.2.short", None, "alerts[2].short: is missing"),
    ("objectives", {}, "slo.yaml: objectives: expected at least one"),
    ("objectives.In Time", {}, "objectives.In Time: expected a name of lower case"),
    ("objectives.in_time", "99.9 %", "objectives.in_time: expected a mapping"),
    ("objectives.in_time.target", 99.9, "in_time.target: expected a share between 0 and 1"),
    ("objectives.in_time.target", 0.9, "in_time.target: expected more than 0.9306: 14.4 times"),
    ("objectives.in_time.bad_is", " ", "in_time.bad_is: expected a line of text"),
    ("objectives.in_time.bad_is", "{{ $value }}", "in_time.bad_is: expected a line of text"),
    ("objectives.in_time.pages", None, "objectives.in_time.pages: is missing"),
    ("objectives.in_time.god", "up", "in_time: there is no 'god'; did you mean 'good'?"),
    ("objectives.in_time.bad", "cuvee_events_total", "in_time: expected total and either good or"),
    ("objectives.in_time.good", None, "in_time: expected total and either good or bad"),
    ("objectives.in_time.total", 7, 'in_time.total: expected metric{label="value"}, got 7'),
    ("objectives.in_time.total", "up{", "in_time.total: expected metric{"),
    (
        "objectives.in_time.total",
        "cuvee_request_total",
        "there is no 'cuvee_request_total'; did you mean 'cuvee_requests_total'?",
    ),
    ("objectives.in_time.total", "cuvee_batch_size", "there is no 'cuvee_batch_size'"),
    (
        "objectives.in_time.total",
        "cuvee_requests_total{rout='events'}",
        'in_time.total: expected label="value", got "rout=\'events\'"',
    ),
    (
        "objectives.in_time.total",
        'cuvee_requests_total{rout="events"}',
        "in_time.total: there is no 'rout'; did you mean 'route'?",
    ),
    (
        "objectives.in_time.total",
        'cuvee_requests_total{route=~"("}',
        "in_time.total: route: no regular expression",
    ),
    (
        "objectives.in_time.good",
        'cuvee_request_duration_seconds_bucket{le="0.12"}',
        "in_time.good: expected le= one of 0.0005, ",
    ),
    (
        "objectives.in_time.good",
        "cuvee_inflight_requests",
        "in_time.good: expected a counter, got the gauge cuvee_inflight_requests",
    ),
    (
        "objectives.events_fresh.gauge",
        "cuvee_events_total",
        "events_fresh.gauge: expected a gauge, got the counter cuvee_events_total",
    ),
    ("objectives.events_fresh.at_most", -1, "events_fresh.at_most: expected a number from 0"),
]


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES)
def test_mistakes_are_told_by_field(path: str, value: object, message: str) -> None:
    """Field, what was expected, and what stands there."""
    with pytest.raises(InputError) as refused:
        parse_slo(told(path, value), "slo.yaml")
    assert message in str(refused.value)


@pytest.mark.parametrize("text", ["", "- 1", "window_days: [", "7"])
def test_what_is_no_mapping(text: str) -> None:
    """Is told as well."""
    with pytest.raises(InputError, match=r"slo\.yaml: "):
        parse_slo(text, "slo.yaml")


def test_windows_of_one_length_are_one() -> None:
    """However they are written: each alert looks at series that are recorded."""
    slo = parse_slo(told("alerts.1.short", "60m"), "slo.yaml")
    recorded = {rule["record"] for group in Rules(slo).groups()[:2] for rule in group["rules"]}
    asked = {name for rule in Rules(slo).groups()[2]["rules"] for name in metrics_of(rule["expr"])}
    assert asked <= recorded


def test_numbers_keep_their_digits() -> None:
    """A target of six nines is not 1."""
    slo = parse_slo(told("objectives.in_time.target", 0.9999995), "slo.yaml")
    slo_text = Rules(slo).text("slo.yaml")
    assert "vector(0.9999995)" in slo_text
    assert "14.4 * 5e-07" in slo_text
