"""The report as a page: in plain words, for light and dark screens, and nothing from elsewhere."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from features.quality import refusals
from features.quality.gates import Gate
from features.quality.report import Finding, Report
from features.quality.rules import Kind

_STYLE = """
:root { color-scheme: light dark; --line: #8888; --bad: #a3102a; --good: #1b6b34; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8f9f; --good: #7fd79a; } }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; }
tr { border-bottom: 1px solid var(--line); }
.bad { color: var(--bad); font-weight: 600; }
.good { color: var(--good); }
"""
_KINDS = {
    Kind.SCHEMA: "type of the column",
    Kind.COMPLETENESS: "missing values",
    Kind.UNIQUENESS: "values that repeat",
    Kind.RANGE: "smallest and largest",
    Kind.ALLOWED_VALUES: "values that are known",
    Kind.FRESHNESS: "how new it is",
    Kind.ROW_COUNT: "number of rows",
    Kind.STATISTICS: "like earlier data",
}
_CHECKED = {
    Gate.INGEST: "Files on their way into the tables",
    Gate.MATERIALIZE: "The tables, before shoppers are brought online",
}
_TITLES = ("Rows", "Column", "What was looked at", "Expected", "Found", "Verdict")


def as_html(report: Report) -> str:
    """Return a page of its own: what is wrong first, then all that was looked at."""
    return "\n".join(_page(report)) + "\n"


def _page(report: Report) -> Iterator[str]:
    title = f"Data quality: {report.source}"
    wrong = report.violations
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>"
    yield f"<h1>{escape(title)}</h1>"
    yield f"<p>{_CHECKED[report.gate]}, checked {escape(report.created)}.</p>"
    yield f"<p>{_verdict(len(wrong), len(report.findings))}</p>"
    if wrong:
        yield from _findings("What is not as expected", wrong)
        yield (
            "<p>Where it is held back nothing of it was taken. <code>python -m features quality "
            "list</code> names it, <code>release</code> takes it all the same, "
            "<code>discard</code> throws it away.</p>"
        )
    if report.refused:
        rows = refusals.summed_up(report.refused)
        titles = tuple(each.capitalize() for each in refusals.TITLES)
        yield from _table("Rows that were refused by themselves", titles, map(_plain, rows))
    yield from _findings("All that was looked at", report.findings)
    yield (
        "<p>The baseline is what the last good data were like. The standard deviation is how far "
        "values lie from their mean, mostly. What could not be judged is no mistake.</p>"
    )
    yield "</main>\n</body>\n</html>"


def _verdict(wrong: int, looked_at: int) -> str:
    if not wrong:
        return f"Everything is as expected, of {looked_at} things that were looked at."
    return f'<span class="bad">{wrong} of {looked_at}</span> things are not as expected.'


def _findings(title: str, findings: Iterable[Finding]) -> Iterator[str]:
    yield from _table(title, _TITLES, map(_cells, findings))


def _cells(finding: Finding) -> tuple[str, ...]:
    told = finding.rows, finding.column, _KINDS[finding.rule], finding.expected, finding.found
    return (*_plain(told), _judged(finding))


def _judged(finding: Finding) -> str:
    if finding.vouched:
        return "not as expected, and accepted so"
    if finding.passed is None:
        return "could not be judged"
    if finding.passed:
        return '<span class="good">as expected</span>'
    return '<span class="bad">not as expected</span>'


def _plain(cells: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(escape, cells))


def _table(title: str, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a table of cells that are HTML already."""
    yield f'<h2>{title}</h2>\n<div class="wide" tabindex="0" role="region" aria-label="{title}">'
    heads = "".join(f'<th scope="col">{escape(each)}</th>' for each in titles)
    yield f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>"
    for cells in rows:
        yield "<tr>" + "".join(f"<td>{each}</td>" for each in cells) + "</tr>"
    yield "</tbody>\n</table>\n</div>"
