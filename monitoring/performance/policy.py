"""What is judged, and what is bad, as declared in YAML: see `default.yaml`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from features.errors import FieldError
from features.yaml_fields import as_list, as_mapping, refuse_unknown
from monitoring.outcomes.attribution import DIMENSIONS
from monitoring.policies import declared, default_of, in_force, number, whole

VARIABLE = "CUVEE_PERFORMANCE"
PACKAGE = "monitoring.performance"

METRICS = (
    "ctr",
    "conversion",
    "revenue",
    "ndcg",
    "accuracy",
    "calibration",
    "coverage",
    "diversity",
)

_MOST_DAYS = 366


@dataclass(frozen=True, slots=True)
class Limits:
    """What is bad of a metric: a relative drop of `effect` or more is to be found.

    From `high` on it is high. `least` is the least the figure may be, None for no such limit.
    """

    effect: float
    high: float
    least: float | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """Windows and baseline in days, how sure to be, the limits of metrics, and the segments."""

    window_days: Sequence[int]
    baseline_days: int
    power: float
    q: float
    metrics: Mapping[str, Limits]
    segments: Sequence[str]
    most_values: int
    scores_are_probabilities: bool


def policy_in_force(path: Path | None = None) -> Policy:
    """Return the policy of `path`, of `CUVEE_PERFORMANCE`, or the default one.

    Raises `InputError` naming the field that cannot be used.
    """
    return in_force(parse_policy, path, VARIABLE)


def parse_policy(text: str, name: str) -> Policy:
    """Return the policy that a YAML text declares; `name` stands before fields in errors."""
    fields = declared(text, name, PACKAGE)
    segments = as_list(fields["segments"] or [], f"{name}: segments")
    refuse_unknown([str(each) for each in segments], DIMENSIONS, f"{name}: segments")
    are_probabilities = fields["scores_are_probabilities"]
    if not isinstance(are_probabilities, bool):
        raise FieldError(
            f"{name}: scores_are_probabilities",
            f"expected true or false, got {are_probabilities!r:.40}",
        )
    return Policy(
        _days(fields["window_days"], f"{name}: window_days"),
        whole(fields["baseline_days"], f"{name}: baseline_days", _MOST_DAYS),
        number(fields["power"], f"{name}: power", 0.5, 0.999),
        number(fields["q"], f"{name}: q", 1e-6, 0.5),
        _metrics(fields["metrics"], f"{name}: metrics"),
        tuple(map(str, segments)),
        whole(fields["most_values"], f"{name}: most_values", 1_000),
        are_probabilities,
    )


def _metrics(raw: object, where: str) -> dict[str, Limits]:
    """Return the limits of all metrics: of those that are not named the default ones."""
    told = as_mapping(raw, where)
    refuse_unknown(told, METRICS, where)
    lines = {**default_of(PACKAGE)["metrics"], **told}
    return {name: _limits(line, f"{where}.{name}") for name, line in lines.items()}


def _limits(raw: object, where: str) -> Limits:
    fields = as_mapping(raw, where)
    refuse_unknown(fields, Limits.__dataclass_fields__, where)
    for name in ("effect", "high"):
        if name not in fields:
            raise FieldError(where, f"expected {name}, a relative drop")
    effect = number(fields["effect"], f"{where}.effect", 0.001, 1)
    high = number(fields["high"], f"{where}.high", effect, 1)
    least = fields.get("least")
    return Limits(effect, high, None if least is None else number(least, f"{where}.least", 0, 1e9))


def _days(raw: object, where: str) -> list[int]:
    days = [whole(each, where, _MOST_DAYS) for each in as_list(raw, where)]
    if not days or sorted(set(days)) != days:
        raise FieldError(where, f"expected ascending days, at least one, got {raw!r:.40}")
    return days
