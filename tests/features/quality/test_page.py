"""The report as a page: what is wrong first, in plain words, and nothing from elsewhere."""

import re
from html.parser import HTMLParser

from features.quality.gates import Gate
from features.quality.page import as_html
from features.quality.refusals import Refusal
from features.quality.report import Finding, Report
from features.quality.rules import Kind

VOID = {"meta"}


class Outline(HTMLParser):
    """What a page holds: headings, columns of tables, and whether its elements are closed."""

    def __init__(self, page: str) -> None:
        """Read the page."""
        super().__init__()
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {"h1": [], "h2": [], "th": [], "td": []}
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)
        if tag in self.texts:
            self.texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        """Elements end in their order."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect the text of what matters."""
        for tag in self.open:
            if tag in self.texts:
                self.texts[tag][-1] += data


def report(*findings: Finding, refused: tuple[Refusal, ...] = ()) -> Report:
    """Return what came of a batch."""
    return Report(Gate.INGEST, "a<b>.csv", "2026-11-01T10:00:00+00:00", findings, refused)


GOOD = Finding("items", Kind.COMPLETENESS, "category", "at most 5 % missing", True, "none")
BAD = Finding("events", Kind.RANGE, "value", "at most 5", False, "3 of 9 <b>", 3)
VOUCHED = Finding("users", Kind.ROW_COUNT, "", "at least 9 rows", False, "7 rows", 2, vouched=True)
UNKNOWN = Finding("items", Kind.STATISTICS, "price", "a mean", None, "no baseline yet")


def test_what_is_wrong_comes_first() -> None:
    """Then what was refused, then everything; what came from the data is text, and no markup."""
    refused = tuple(Refusal("e.csv", row, "type", "<i>", "unknown") for row in range(2, 7))

    outline = Outline(as_html(report(GOOD, BAD, VOUCHED, UNKNOWN, refused=refused)))

    assert outline.open == []
    assert outline.texts["h1"] == ["Data quality: a<b>.csv"]
    assert outline.texts["h2"] == [
        "What is not as expected",
        "Rows that were refused by themselves",
        "All that was looked at",
    ]
    assert outline.texts["td"][:6] == [
        "events", "value", "smallest and largest", "at most 5", "3 of 9 <b>", "not as expected"
    ]  # fmt: skip
    assert "row 2: '<i>'; row 3: '<i>'; row 4: '<i>'" in outline.texts["td"]
    verdicts = outline.texts["td"][-19::6]
    assert verdicts == [
        "as expected", "not as expected", "not as expected, and accepted so", "could not be judged"
    ]  # fmt: skip


def test_where_all_is_well_nothing_is_asked_of_anybody() -> None:
    """One table, and a sentence."""
    page = as_html(report(GOOD))

    assert "Everything is as expected, of 1 things" in page
    assert Outline(page).texts["h2"] == ["All that was looked at"]
    assert "discard" not in page


def test_it_needs_nothing_from_elsewhere_and_can_be_read_by_anybody() -> None:
    """No address, no script; a language, columns with a scope, and both schemes of colour."""
    page = as_html(report(BAD))

    assert not re.search(r"https?:|//|@import|url\(|<script|<link|<img", page)
    attributes = Outline(page).attributes
    assert ("lang", "en") in attributes
    assert attributes.count(("scope", "col")) == len(Outline(page).texts["th"])
    assert "color-scheme: light dark" in page
    assert "prefers-color-scheme: dark" in page
