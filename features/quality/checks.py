"""From rules to findings: every rule becomes steps of a validation by pointblank.

    rules that look at the same rows ─ a validation of these, lazily ─ findings

Rows are streamed, whatever their number; only uniqueness keeps something of each, its hash.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import pointblank as pb
import polars as pl
from narwhals.exceptions import NarwhalsError

from features.errors import InputError
from features.quality.profile import TableProfile, profile_of
from features.quality.report import Finding
from features.quality.rules import FREE_FORM, WHOLE, Kind, Rule
from features.quality.steps import AS_NUMBER, HASH, Step, age_told, columns_of, steps_of


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of some rows: findings, and what they are like on the whole."""

    name: str
    findings: tuple[Finding, ...]
    profile: TableProfile


def check(
    table: str, rows: pl.LazyFrame, rules: Sequence[Rule], baselines: Mapping[str, TableProfile]
) -> Iterator[Checked]:
    """Yield what comes of `rules`: for all rows of a table, and for each part that some name.

    `baselines` are what good rows were like, by the name of the part. Raises `InputError` where
    the columns are not those of the table.
    """
    prepared = _prepared(table, rows, rules)
    by_part = sorted(rules, key=_part)
    for part, some in groupby(by_part, key=_part):
        chosen = list(some)
        name = f"{table} where {part}" if part else table
        of_part = prepared.filter(*_filters(chosen[0]))
        try:
            yield _checked(name, of_part, chosen, baselines.get(name))
        except (pl.exceptions.PolarsError, NarwhalsError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"{name}: the rules cannot be checked: {reason:.200}") from error


def _part(rule: Rule) -> str:
    return " and ".join(f"{column} is {' or '.join(v)}" for column, v in rule.where.items())


def _filters(rule: Rule) -> list[pl.Expr]:
    return [_as_text(pl.col(name)).is_in(told) for name, told in rule.where.items()]


def _as_text(value: pl.Expr) -> pl.Expr:
    """Return values as rules name them: a number that is whole without its point."""
    return value.cast(pl.String).str.replace(WHOLE, "$1")


def _prepared(table: str, rows: pl.LazyFrame, rules: Sequence[Rule]) -> pl.LazyFrame:
    """Return the rows with a column for each free-form value, and each hash, that a rule needs."""
    free = FREE_FORM[table]
    named = {column for rule in rules for column in (*rule.columns, *rule.where)}
    named |= {column for rule in rules for column in rule.options.get("types", ())}
    told = [_free_form(name, free) for name in sorted(named) if name.startswith(free)]
    unique = {c for rule in rules if rule.kind is Kind.UNIQUENESS for c in rule.columns}
    derived = [
        *(
            pl.col(each.meta.output_name()).cast(pl.Float64, strict=False).name.suffix(AS_NUMBER)
            for each in told
        ),
        *(pl.col(name).hash().alias(HASH + name) for name in sorted(unique)),
    ]
    return rows.with_columns(told).with_columns(derived)


def _free_form(name: str, free: str) -> pl.Expr:
    path = name.removeprefix(free).replace("'", "\\'")
    told = pl.col(free.rstrip(".")).str.json_path_match(f"$['{path}']")
    return _as_text(told).alias(name)


def _checked(
    name: str, rows: pl.LazyFrame, rules: Sequence[Rule], baseline: TableProfile | None
) -> Checked:
    compared = {c for rule in rules if rule.kind is Kind.STATISTICS for c in columns_of(rule)}
    profile = profile_of(rows, sorted(compared))
    steps = [
        (rule, step)
        for rule in rules
        for step in steps_of(rule, profile, baseline or TableProfile(0))
    ]
    validation = pb.Validate(rows, tbl_name=name)
    for _, step in steps:
        validation = getattr(validation, step.method)(
            **step.arguments,
            active=not step.why_not,
            thresholds=pb.Thresholds(error=step.allowed + 1),
        )
    with warnings.catch_warnings():  # it asks lazy frames for their columns
        warnings.simplefilter("ignore", pl.exceptions.PerformanceWarning)
        validation.interrogate(collect_extracts=False, collect_tbl_checked=False)
    absent = _absent(rows, rules)
    findings = tuple(
        _finding(name, rule, step, told, absent)
        for (rule, step), told in zip(steps, validation.validation_info, strict=True)
    )
    return Checked(name, findings, profile)


def _absent(rows: pl.LazyFrame, rules: Sequence[Rule]) -> set[str]:
    """Return the free-form values that no row has: perhaps their names are misspelt."""
    free = FREE_FORM[rules[0].table]
    named = sorted({c for rule in rules for c in rule.columns if c.startswith(free)})
    told = rows.select(pl.col(named).is_not_null().any()).collect(engine="streaming")
    return {name for name in named if not told[name][0]}


def _finding(
    name: str,
    rule: Rule,
    step: Step,
    told: Any,  # noqa: ANN401 (theirs)
    absent: set[str],
) -> Finding:
    of = partial(Finding, name, rule.kind, step.column, step.expected, about=step.about)
    if rule.kind is not Kind.COMPLETENESS and step.column.removesuffix(AS_NUMBER) in absent:
        return of(None, "no row has one")
    if step.why_not:
        return of(None, step.why_not)
    if told.n == 0:
        return of(None if rule.where else True, "no rows")
    if told.eval_error:
        return of(False, "could not be checked", failed=1)
    failed = int(told.n_failed or 0)
    return of(failed <= step.allowed, _got(step, told), failed)


def _got(step: Step, told: Any) -> str:  # noqa: ANN401
    about = told.val_info or {}
    if step.found:
        return step.found
    if "actual" in about:
        return f"{about['actual']:.6g}"
    if "age" in about:
        return f"{age_told(about['age'])} old"
    if step.is_of_the_whole:
        return "so it is" if told.all_passed else "it is not"
    share = f" ({told.n_failed / told.n:.2%})" if told.n_failed else ""
    return f"{f'{told.n_failed:,}' if share else 'none'} of {told.n:,} rows otherwise{share}"
