"""What is promised, as it is declared in YAML; each mistake names its field.

A `Ratio` counts events that were bad, a `Level` the time that a gauge was too high.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.errors import FieldError
from features.yaml_fields import as_list, as_mapping, parse_yaml, read_text, refuse_unknown
from monitoring.slo.durations import Window, read_window
from monitoring.slo.selector import Kind, read_selector

LOAD_TEST = "load_test"
"""What `python -m loadtests` reads of the same file."""

_FIELDS = ("window_days", "min_events", "alerts", "objectives")
_ALERT = ("factor", "long", "short", "pages")
_COMMON = ("bad_is", "target", "pages")
_RATIO = ("total", "good", "bad")
_LEVEL = ("gauge", "at_most")
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_DAY_S = 86_400
_SHORTEST_S = 60  # a dozen scrapes, and two looks at a gauge


@dataclass(frozen=True, slots=True)
class Ratio:
    """A share of events: selectors of counters, of which one of `good` and `bad` is given."""

    total: str
    good: str | None = None
    bad: str | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """A share of time: that in which the highest of a gauge's series was above `at_most`."""

    gauge: str
    at_most: float


@dataclass(frozen=True, slots=True)
class Objective:
    """A promise: at least the share `target` is good; `bad_is` says what the rest is."""

    name: str
    bad_is: str
    target: float
    pages: bool
    measure: Ratio | Level

    @property
    def budget(self) -> float:
        """Return the share that may be bad."""
        return round(1 - self.target, 12)

    @property
    def alert(self) -> str:
        """Return the name of its alerts."""
        return f"Cuvee{self.name.title().replace('_', '')}Burn"


@dataclass(frozen=True, slots=True)
class Burn:
    """An alert on `factor` times as much bad as the budget allows, over both windows."""

    factor: float
    long: Window
    short: Window
    pages: bool


@dataclass(frozen=True, slots=True)
class Slo:
    """Objectives, kept over `window_days`, and the alerts that each of them has."""

    window_days: int
    min_events: int
    burns: tuple[Burn, ...]
    objectives: tuple[Objective, ...]

    @property
    def window(self) -> Window:
        """Return the window that the objectives are kept over."""
        return Window(f"{self.window_days}d", self.window_days * _DAY_S)


def read_slo(path: Path) -> Slo:
    """Return what `path` declares; raise `InputError` naming the field that cannot be used."""
    return parse_slo(read_text(path), str(path))


def parse_slo(text: str, name: str) -> Slo:
    """Return what a YAML text declares; `name` stands before fields in errors."""
    told = as_mapping(parse_yaml(text, name), name)
    refuse_unknown(told, (*_FIELDS, LOAD_TEST), name)
    _require(told, _FIELDS, f"{name}: ")
    days = _whole(told["window_days"], f"{name}: window_days", 366)
    burns = as_list(told["alerts"], f"{name}: alerts")
    declared = as_mapping(told["objectives"], f"{name}: objectives")
    slo = Slo(
        days,
        _whole(told["min_events"], f"{name}: min_events", 10**9),
        tuple(_burn(raw, days, f"{name}: alerts[{at}]") for at, raw in enumerate(burns)),
        tuple(_objective(*each, f"{name}: objectives.{each[0]}") for each in declared.items()),
    )
    _check(slo, name)
    return slo


def _check(slo: Slo, name: str) -> None:
    """Refuse what would watch nothing."""
    for what, some in (("alerts", slo.burns), ("objectives", slo.objectives)):
        if not some:
            raise FieldError(f"{name}: {what}", "expected at least one")
    longs = [each.long.seconds for each in slo.burns]
    if len(set(longs)) < len(longs):
        raise FieldError(f"{name}: alerts", "expected each `long` once")
    for each in slo.objectives:
        for burn in slo.burns:
            if burn.factor * each.budget >= 1:
                least = 1 - 1 / burn.factor
                raise FieldError(
                    f"{name}: objectives.{each.name}.target",
                    f"expected more than {least:.4g}: {burn.factor:g} times what {each.target:g} "
                    "leaves is more than all, and its alert would never fire",
                )


def _burn(raw: object, days: int, where: str) -> Burn:
    told = as_mapping(raw, where)
    refuse_unknown(told, _ALERT, where)
    _require(told, _ALERT, f"{where}.")
    long, short = (read_window(told[each], f"{where}.{each}") for each in ("long", "short"))
    if long.seconds > days * _DAY_S:
        raise FieldError(f"{where}.long", f"expected at most window_days, {days}d; got {long.name}")
    if short.seconds >= long.seconds:
        raise FieldError(
            f"{where}.short", f"expected less than long, {long.name}; got {short.name}"
        )
    if short.seconds < _SHORTEST_S:
        raise FieldError(f"{where}.short", f"expected at least 1m, got {short.name}")
    factor = _number(told["factor"], f"{where}.factor", 1e-3, 1e6)
    return Burn(factor, long, short, _flag(told["pages"], f"{where}.pages"))


def _objective(name: str, raw: object, where: str) -> Objective:
    if not _NAME.fullmatch(name):
        raise FieldError(where, "expected a name of lower case, digits and single underscores")
    told = as_mapping(raw, where)
    refuse_unknown(told, (*_COMMON, *_RATIO, *_LEVEL), where)
    _require(told, _COMMON, f"{where}.")
    return Objective(
        name,
        _text(told["bad_is"], f"{where}.bad_is"),
        _share(told["target"], f"{where}.target"),
        _flag(told["pages"], f"{where}.pages"),
        _measure(told, where),
    )


def _measure(told: dict[str, Any], where: str) -> Ratio | Level:
    given = sorted(set(told) - set(_COMMON))
    if given == sorted(_LEVEL):
        gauge = read_selector(told["gauge"], Kind.GAUGE, f"{where}.gauge")
        return Level(gauge, _number(told["at_most"], f"{where}.at_most", 0, 1e15))
    if given not in (["good", "total"], ["bad", "total"]):
        expected = "expected total and either good or bad, or gauge and at_most"
        raise FieldError(where, f"{expected}; got {', '.join(given) or 'none of them'}")
    counted = {each: read_selector(told[each], Kind.COUNTER, f"{where}.{each}") for each in given}
    return Ratio(**counted)


def _require(told: dict[str, Any], names: tuple[str, ...], before: str) -> None:
    for name in names:
        if name not in told:
            raise FieldError(f"{before}{name}", "is missing")


def _text(raw: object, where: str) -> str:
    if not isinstance(raw, str) or not raw.strip() or not raw.isprintable() or "{{" in raw:
        raise FieldError(where, f"expected a line of text, got {raw!r:.40}")
    return raw.strip()


def _flag(raw: object, where: str) -> bool:
    if not isinstance(raw, bool):
        raise FieldError(where, f"expected true or false, got {raw!r:.40}")
    return raw


def _share(raw: object, where: str) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0 < raw < 1:
        raise FieldError(where, f"expected a share between 0 and 1, got {raw!r:.40}")
    return float(raw)


def _number(raw: object, where: str, low: float, high: float) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not low <= raw <= high:
        raise FieldError(where, f"expected a number from {low:g} to {high:g}, got {raw!r:.40}")
    return float(raw)


def _whole(raw: object, where: str, most: int) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or not 1 <= raw <= most:
        raise FieldError(where, f"expected a whole number from 1 to {most}, got {raw!r:.40}")
    return raw
