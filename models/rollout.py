"""How a model comes to serve step by step, as it is declared in YAML.

`CUVEE_ROLLOUT` names a file of one's own; what it does not name is as in `rollout.yaml`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from features.errors import FieldError
from features.named_file import read_named
from features.yaml_fields import as_list, as_mapping, parse_yaml, read_text
from models.canary import Canary
from models.rules.fields import Fields, Mistakes, Parse, number, truth, whole

ROLLOUT = "CUVEE_ROLLOUT"

_YEAR_S = 366 * 86_400


@dataclass(frozen=True, slots=True)
class Shadow:
    """How much is ranked beside answers before a canary answers anybody."""

    requests: int
    share: float
    cpu_share: float
    least_overlap: float


@dataclass(frozen=True, slots=True)
class Guardrails:
    """By how much a canary may be worse than its control."""

    errors: float
    fallbacks: float
    empty: float
    latency_ms: float
    clicks: float


@dataclass(frozen=True, slots=True)
class Rollout:
    """The steps of a trial, and what each of them asks for."""

    steps: tuple[float, ...]
    automatic: bool
    least_requests: int
    least_s: float
    longest_s: float
    keep_warm_s: float
    alpha: float
    shadow: Shadow
    guardrails: Guardrails

    def begin(self, version: str, *, by_hand: bool = False) -> Canary:
        """Return the first step of a trial of a model."""
        automatic = self.automatic and not by_hand
        if self.shadow.requests:
            return Canary.begun(version, 0, 0.0, automatic=automatic)
        return Canary.begun(version, 1, self.steps[0], automatic=automatic)

    def after(self, canary: Canary) -> Canary | None:
        """Return the step after the one of `canary`, None where that is to serve everybody."""
        if canary.step >= len(self.steps):
            return None
        return canary.moved_to(canary.step + 1, self.steps[canary.step])


_LIMITS: Mapping[str, tuple[float, float]] = {
    "least_requests": (1, 1e12),
    "least_s": (0, _YEAR_S),
    "longest_s": (1, _YEAR_S),
    "keep_warm_s": (0, 86_400),
    "alpha": (1e-6, 0.2),
    "shadow.requests": (0, 1e9),
    "shadow.share": (1e-6, 1),
    "shadow.cpu_share": (0.001, 1),
    "shadow.least_overlap": (0, 1),
    "guardrails.errors": (1e-6, 1),
    "guardrails.fallbacks": (1e-6, 1),
    "guardrails.empty": (1e-6, 1),
    "guardrails.latency_ms": (1e-3, 60_000),
    "guardrails.clicks": (1e-6, 100),
}
"""Each number that can be declared, and both ends of what it may be."""

_WHOLE = {"least_requests", "shadow.requests"}


def rollout_in_force(path: Path | None = None) -> Rollout:
    """Return the rollout of `path`, of `CUVEE_ROLLOUT`, or the default one.

    Raises `InputError` with a line for each field that cannot be used.
    """
    return read_named(read_rollout, ROLLOUT, path) or _default()


def read_rollout(path: Path) -> Rollout:
    """Return the rollout in a file; raise `InputError` with a line for each mistake."""
    return parse_rollout(read_text(path), str(path))


def parse_rollout(text: str, name: str) -> Rollout:
    """Return what the YAML `text` declares; `name` stands before each mistake."""
    told = parse_yaml(text, name)
    return _rollout(as_mapping(told if told is not None else {}, name), _default_fields(), name)


def _default() -> Rollout:
    default = _default_fields()
    return _rollout(default, default, "rollout.yaml")


def _default_fields() -> dict[str, Any]:
    text = (resources.files("models") / "rollout.yaml").read_text(encoding="utf-8")
    return as_mapping(parse_yaml(text, "rollout.yaml"), "rollout.yaml")


def _rollout(told: dict[str, Any], default: dict[str, Any], name: str) -> Rollout:
    mistakes = Mistakes()
    fields = Fields(told, "", default, mistakes)
    plain = _numbers(fields, default, "")
    steps = fields.get("steps", _steps, tuple(default["steps"]))
    automatic = fields.get("automatic", truth, default["automatic"])
    shadow, guardrails = (
        _numbers(fields.within(part, default[part]), default[part], f"{part}.")
        for part in ("shadow", "guardrails")
    )
    if not mistakes and plain["longest_s"] <= plain["least_s"]:
        fields.wrong("longest_s", f"expected more than least_s, {plain['least_s']:g}")
    mistakes.raise_any(name)
    return Rollout(
        steps=steps,
        automatic=automatic,
        shadow=Shadow(**shadow),
        guardrails=Guardrails(**guardrails),
        **plain,
    )


def _numbers(fields: Fields, default: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Return the numbers of `_LIMITS` whose names begin with `part` and have no more points."""
    names = [field.removeprefix(part) for field in _LIMITS if field.startswith(part)]
    return {
        name: fields.get(name, _number(f"{part}{name}"), default[name])
        for name in names
        if "." not in name
    }


def _number(field: str) -> Parse[float]:
    low, high = _LIMITS[field]
    if field in _WHOLE:
        return partial(whole, low=int(low), high=int(high))
    return partial(number, low=low, high=high)


def _steps(raw: object, where: str) -> tuple[float, ...]:
    steps = as_list(raw, where)
    for each in steps:
        if isinstance(each, bool) or not isinstance(each, int | float) or not 0 < each < 1:
            raise FieldError(where, f"expected shares between 0 and 1, got {each!r:.40}")
    if not steps or sorted(set(steps)) != steps:
        raise FieldError(where, f"expected shares that rise, got {raw!r:.60}")
    return tuple(map(float, steps))
