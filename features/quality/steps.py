"""Steps of a validation by pointblank: what each kind of rule asks of each of its columns."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pointblank as pb
import polars as pl

from features.quality.profile import ColumnProfile, TableProfile
from features.quality.rules import FREE_FORM, NUMERIC, Kind, Rule, Type

FEWEST = 100
"""Rows of which statistics are compared with the baseline's: those of fewer say little."""

HASH = "hash of "
"""What stands before the name of a column that holds another's hashes."""

AS_NUMBER = " as number"
"""What stands behind the name of a column that holds free-form values as numbers."""

_OF_THE_WHOLE = frozenset(("col_schema_match", "row_count_match", "specially"))
_OF_NUMBERS = frozenset(("mean_shift", "std_ratio"))
_NO_BASELINE = "no baseline yet"
_UNBOUNDED = 2**53
_UNITS = {
    "days": timedelta(days=1),
    "hours": timedelta(hours=1),
    "minutes": timedelta(minutes=1),
}
_TYPES = {
    Type.TEXT: ["String"],
    Type.NUMBER: ["Float64", "Float32", "Int64", "Int32"],
    Type.BOOLEAN: ["Boolean"],
    Type.TIMESTAMP: ["Datetime(time_unit='us', time_zone='UTC')"],
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a validation: a method of `pointblank.Validate`, and what it expects, told.

    Up to `allowed` units, rows mostly, may fail. `why_not` tells why it cannot be judged, `found`
    what was found where that is known before.
    """

    column: str
    expected: str
    method: str
    arguments: Mapping[str, Any]
    allowed: int = 0
    why_not: str = ""
    found: str = ""
    about: str = ""
    """Which of the rule's expectations it is, where it may have several of a column."""

    @property
    def is_of_the_whole(self) -> bool:
        """Tell whether it is about all rows together, not about each."""
        return self.method in _OF_THE_WHOLE


def steps_of(rule: Rule, profile: TableProfile, baseline: TableProfile) -> Iterator[Step]:
    """Yield the steps of a rule for rows that are on the whole like `profile`."""
    return _STEPS[rule.kind](rule, profile, baseline)


def columns_of(rule: Rule) -> Iterator[str]:
    """Yield the columns that a rule looks at: of free-form values those with numbers, if needed."""
    numeric = NUMERIC.intersection(name for name, told in rule.options.items() if told is not None)
    for name in rule.columns:
        is_free = name.startswith(FREE_FORM[rule.table])
        yield f"{name}{AS_NUMBER}" if numeric and is_free else name


def age_told(age: timedelta) -> str:
    """Return an age in words, of the largest unit of which it has two."""
    unit = next((each for each in _UNITS if abs(age) >= 2 * _UNITS[each]), "minutes")
    return f"{age / _UNITS[unit]:.3g} {unit}"


def distance(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Return the total variation distance of two distributions, 0 to 1."""
    names = one.keys() | other.keys()
    return sum(abs(one.get(name, 0.0) - other.get(name, 0.0)) for name in names) / 2


def _share(share: float) -> str:
    return f"{share * 100:.4g} %"


def _allowed(share: float, profile: TableProfile) -> int:
    """Return how many rows a share of all is: 29 % of a hundred are 29, whatever floats say."""
    return math.floor(share * profile.rows + 1e-9)


def _schema(rule: Rule, _: TableProfile, __: TableProfile) -> Iterator[Step]:
    free = FREE_FORM[rule.table]
    for name, kind in rule.options["types"].items():
        if not name.startswith(free):
            schema = pb.Schema(columns=[(name, _TYPES[kind])])
            arguments = {"schema": schema, "complete": False, "in_order": False}
            yield Step(name, f"a column of type {kind}", "col_schema_match", arguments)
        elif kind is not Type.TEXT:
            arguments = {"expr": pl.col(name).is_null() | _IS[kind](name)}
            yield Step(name, f"values of type {kind}", "col_vals_expr", arguments)


_IS: dict[Type, Callable[[str], pl.Expr]] = {
    Type.NUMBER: lambda name: pl.col(f"{name}{AS_NUMBER}").is_not_null(),
    Type.BOOLEAN: lambda name: pl.col(name).is_in(["true", "false"]),
}


def _completeness(rule: Rule, profile: TableProfile, _: TableProfile) -> Iterator[Step]:
    share = rule.options["null_threshold"]
    allowed = _allowed(share, profile)
    for name in rule.columns:
        expected = f"at most {_share(share)} missing"
        yield Step(name, expected, "col_vals_not_null", {"columns": name}, allowed)


def _uniqueness(rule: Rule, profile: TableProfile, _: TableProfile) -> Iterator[Step]:
    share = rule.options["duplicate_threshold"]
    allowed = _allowed(share, profile)
    for name in rule.columns:
        expected = f"at most {_share(share)} of rows with a value that others have"
        arguments = {"columns_subset": HASH + name, "pre": _told(name)}
        yield Step(name, expected, "rows_distinct", arguments, allowed)


def _told(name: str) -> Callable[[pl.LazyFrame], pl.LazyFrame]:
    return lambda rows: rows.filter(pl.col(name).is_not_null())


def _range(rule: Rule, _: TableProfile, __: TableProfile) -> Iterator[Step]:
    low, high = rule.options["min"], rule.options["max"]
    told = " and ".join(
        f"{word} {bound:g}"
        for word, bound in (("at least", low), ("at most", high))
        if bound is not None
    )
    bounds = {
        "left": -math.inf if low is None else low,
        "right": math.inf if high is None else high,
    }
    for name in columns_of(rule):
        yield Step(name, told, "col_vals_between", {"columns": name, **bounds, "na_pass": True})


def _allowed_values(rule: Rule, _: TableProfile, __: TableProfile) -> Iterator[Step]:
    values = list(rule.options["values"])
    for name in rule.columns:
        arguments = {"columns": name, "set": [*values, None]}
        yield Step(name, f"one of {', '.join(values)}", "col_vals_in_set", arguments)


def _freshness(rule: Rule, _: TableProfile, __: TableProfile) -> Iterator[Step]:
    age = rule.options["max_age"]
    for name in rule.columns:
        arguments = {"column": name, "max_age": age}
        yield Step(name, f"the newest at most {age_told(age)} old", "data_freshness", arguments)


def _row_count(rule: Rule, profile: TableProfile, baseline: TableProfile) -> Iterator[Step]:
    least, drop, growth = (rule.options[name] for name in ("min", "max_drop", "max_growth"))
    if least is not None:
        told = f"at least {least:,.0f} rows"
        yield _row_count_step("min", told, math.ceil(least), profile, 0, None)
    before, why_not = baseline.rows, "" if baseline.rows else _NO_BASELINE
    if drop is not None:
        expected = f"at most {_share(drop)} fewer rows than the baseline{_of(before)}"
        fewer = math.floor(before * drop)
        yield _row_count_step("max_drop", expected, before, profile, fewer, None, why_not)
    if growth is not None:
        expected = f"at most {growth:g} times as many rows as the baseline{_of(before)}"
        more = math.floor(before * (growth - 1))
        yield _row_count_step("max_growth", expected, before, profile, None, more, why_not)


def _of(rows: int) -> str:
    return f" of {rows:,}" if rows else ""


def _row_count_step(
    about: str,
    expected: str,
    count: int,
    profile: TableProfile,
    fewer: int | None,
    more: int | None,
    why_not: str = "",
) -> Step:
    """Return a step that allows `fewer` or `more` rows than `count`, None for any number."""
    bounds = tuple(_UNBOUNDED if each is None else each for each in (fewer, more))
    arguments = {"count": count, "tol": bounds}
    found = f"{profile.rows:,} rows"
    return Step(
        "", expected, "row_count_match", arguments, why_not=why_not, found=found, about=about
    )


def _statistics(rule: Rule, profile: TableProfile, baseline: TableProfile) -> Iterator[Step]:
    for name in columns_of(rule):
        before = baseline.columns.get(name)
        for option, limit in rule.options.items():
            if limit is None:
                continue
            why_not = _why_not(option, profile, before)
            told = f"{_WORDS[option]} like the baseline's"
            if before is None or why_not:
                arguments = {"columns": name}
                yield Step(name, told, "col_exists", arguments, why_not=why_not, about=option)
            elif option in _OF_NUMBERS and profile.columns[name].std is None:
                yield _known(name, option, told, is_good=False, found="no values")
            else:
                yield from _COMPARED[option](name, limit, before, profile)


def _why_not(option: str, profile: TableProfile, before: ColumnProfile | None) -> str:
    """Return why a column cannot be compared, or nothing."""
    if before is None:
        return _NO_BASELINE
    if profile.rows < FEWEST:
        return f"{profile.rows} rows are too few"
    values = {"mean_shift": before.std, "std_ratio": before.std, "share_shift": before.shares}
    return "the baseline has no values" if values.get(option, 0.0) in (None, {}) else ""


def _mean_shift(name: str, limit: float, before: ColumnProfile, _: TableProfile) -> Iterator[Step]:
    mean, std = before.mean or 0.0, before.std or 0.0
    noise = 1e-9 * abs(mean)
    told = f"the baseline's is {mean:.6g}, give or take {std:.6g}"
    for method, bound, word in (
        ("col_avg_ge", mean - limit * std - noise, "least"),
        ("col_avg_le", mean + limit * std + noise, "most"),
    ):
        expected = f"a mean of at {word} {bound:.6g} ({told})"
        arguments = {"columns": name, "value": bound}
        yield Step(name, expected, method, arguments, about=f"mean_shift {word}")


def _std_ratio(name: str, limit: float, before: ColumnProfile, _: TableProfile) -> Iterator[Step]:
    std = before.std or 0.0
    for method, bound, word in (
        ("col_sd_ge", std / limit, "least"),
        ("col_sd_le", std * limit, "most"),
    ):
        expected = f"a standard deviation of at {word} {bound:.6g} (the baseline's is {std:.6g})"
        arguments = {"columns": name, "value": bound}
        yield Step(name, expected, method, arguments, about=f"std_ratio {word}")


def _null_shift(
    name: str, limit: float, before: ColumnProfile, profile: TableProfile
) -> Iterator[Step]:
    expected = f"at most {_share(limit)} more missing than the baseline's {_share(before.nulls)}"
    allowed = _allowed(before.nulls + limit, profile)
    arguments = {"columns": name}
    yield Step(name, expected, "col_vals_not_null", arguments, allowed, about="null_shift")


def _share_shift(
    name: str, limit: float, before: ColumnProfile, profile: TableProfile
) -> Iterator[Step]:
    far = distance(before.shares, profile.columns[name].shares)

    expected = f"shares of values like the baseline's, but for {_share(limit)}"
    is_good = far <= limit + 1e-9
    yield _known(name, "share_shift", expected, is_good=is_good, found=f"{_share(far)} otherwise")


def _known(name: str, about: str, expected: str, *, is_good: bool, found: str) -> Step:
    """Return a step whose outcome the profile told already: no row is read for it."""
    arguments = {"expr": lambda: is_good, "pre": lambda rows: rows.head(1)}
    return Step(name, expected, "specially", arguments, found=found, about=about)


_STEPS: dict[Kind, Callable[[Rule, TableProfile, TableProfile], Iterator[Step]]] = {
    Kind.SCHEMA: _schema,
    Kind.COMPLETENESS: _completeness,
    Kind.UNIQUENESS: _uniqueness,
    Kind.RANGE: _range,
    Kind.ALLOWED_VALUES: _allowed_values,
    Kind.FRESHNESS: _freshness,
    Kind.ROW_COUNT: _row_count,
    Kind.STATISTICS: _statistics,
}
_COMPARED: dict[str, Callable[[str, float, ColumnProfile, TableProfile], Iterator[Step]]] = {
    "mean_shift": _mean_shift,
    "std_ratio": _std_ratio,
    "null_shift": _null_shift,
    "share_shift": _share_shift,
}
_WORDS = {
    "mean_shift": "a mean",
    "std_ratio": "a standard deviation",
    "null_shift": "as many missing",
    "share_shift": "shares of values",
}
