"""`python -m monitoring drift`: what was found after the latest window."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime

import click

from features.home import home_directory
from monitoring.drift.detector import State
from monitoring.drift.report import Bin, Report, Told

_ORDER = [State.DRIFTED, State.SUSPECT, State.QUIET, State.INSUFFICIENT]


@click.command("drift")
@click.option("--json", "as_json", is_flag=True, help="Print everything, all bins included.")
@click.option("--all", "show_all", is_flag=True, help="Show what moved where all is quiet, too.")
def show_command(as_json: bool, show_all: bool) -> None:
    """Show which features have drifted, how far, and what moved where.

    Reads what python -m monitoring run left under CUVEE_HOME. Ends with 1 where a feature has
    drifted, with 2 where nothing was found yet.
    """
    home = home_directory()
    report = Report.read(home)
    if report is None:
        click.echo(
            f"error: nothing was judged under {home}: start python -m monitoring run", err=True
        )
        raise SystemExit(2)
    if as_json:
        click.echo(json.dumps(asdict(report)))
    else:
        click.echo("\n".join(_lines(report, show_all)))
    raise SystemExit(any(each.state is State.DRIFTED for each in report.findings.values()))


def _lines(report: Report, show_all: bool) -> Iterator[str]:
    ended = datetime.fromtimestamp(report.ended_ms / 1_000, UTC)
    age_min = (time.time() * 1_000 - report.ended_ms) / 60_000
    yield (
        f"model {report.version}, window of {report.window_ms / 60_000:g} minutes to "
        f"{ended:%Y-%m-%d %H:%M} UTC ({age_min:.0f} minutes ago), {report.rows} rows"
    )
    width = max(map(len, report.columns), default=0)
    yield f"{'feature':<{width}}  {'state':<12}  {'q':>8}  {'effect':>7}  windows  moved"
    for name, told in sorted(report.columns.items(), key=_rank):
        finding = told.finding
        speaks = show_all or finding.state in (State.DRIFTED, State.SUSPECT)
        moved = "; ".join(_words(each) for each in told.moved()) if speaks else ""
        yield (
            f"{name:<{width}}  {finding.state:<12}  {finding.q:>8.2g}  {finding.effect:>7.3f}  "
            f"{finding.windows:>7}  {moved}"
        ).rstrip()
    if not report.scores:
        yield "scores are not watched: the model holds no reference of them"


def _rank(column: tuple[str, Told]) -> tuple[int, float, float]:
    finding = column[1].finding
    return _ORDER.index(finding.state), finding.q, -finding.effect


def _words(told: Bin) -> str:
    return f"{told.label} {told.reference:.1%} -> {told.now:.1%}"
