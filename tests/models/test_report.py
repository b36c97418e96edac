"""Pages about training runs: whole, the same each time, and safe to open."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from features.demo_shop.simulate import DEFAULT_UNTIL, World, simulate
from features.offline.store import OfflineStore
from models.__main__ import cli
from models.bundle import write_bundle
from models.orders import Kept
from models.plot import Mark, intervals_plot
from models.registry import Registry
from models.report import training_page
from models.titles import AUDIENCES, FIGURES, HISTORY
from tests.support.bundles import small_parts

VOID = {"meta", "circle", "path"}


class _Page(HTMLParser):
    """Checks that tags are closed in order, and keeps what was in the page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _run(home: Path, *words: str) -> Any:
    return CliRunner().invoke(cli, words, env={"CUVEE_HOME": str(home)})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with a model that was trained on a demo shop."""
    home = tmp_path_factory.mktemp("home")
    simulate(OfflineStore(home), World(20_000, 0, DEFAULT_UNTIL))
    done = _run(home, "train")
    assert done.exit_code == 0, done.output
    return home


def test_training_leaves_a_page_beside_its_bundle(home: Path) -> None:
    """Every figure of every list, what was chosen, and which data it was made of."""
    registry = Registry(home)
    version = registry.production()
    assert version is not None
    manifest = registry.manifest(version)
    page = _Page((home / "reports" / f"{version}.html").read_text(encoding="utf-8"))
    for told in (version, manifest.dataset_version, HISTORY, *FIGURES.values()):
        assert told in page.text
    for name, each in manifest.metrics["audiences"].items():
        assert AUDIENCES[name] in page.text
        assert f"{each['model']['recall@10']:.4f}" in page.text
    assert manifest.parameters["taste"] in page.text
    assert "candidates in the order of" in page.text
    assert all(name in page.text for name in manifest.metrics["by_segment"])


def test_a_page_can_be_read_by_everybody(home: Path) -> None:
    """A language, captions, headings of rows and columns, drawings in words; light and dark."""
    version = Registry(home).production()
    content = (home / "reports" / f"{version}.html").read_text(encoding="utf-8")
    page = _Page(content)
    names = [tag for tag, _ in page.tags]
    assert ("html", {"lang": "en"}) in page.tags
    assert names.count("table") == names.count("caption") > 4
    assert all(attrs.get("scope") in {"row", "col"} for tag, attrs in page.tags if tag == "th")
    drawings = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert drawings
    assert all(
        each["role"] == "img" and "the model 0." in str(each["aria-label"]) for each in drawings
    )
    assert "prefers-color-scheme: dark" in content


def test_a_page_loads_nothing(home: Path) -> None:
    """No script, no picture, no style from elsewhere."""
    version = Registry(home).production()
    content = (home / "reports" / f"{version}.html").read_text(encoding="utf-8")
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in _Page(content).tags}
    assert "://" not in content


def test_the_command_makes_the_same_page_again(home: Path, tmp_path: Path) -> None:
    """By alias or version, to the byte; and says where."""
    version = Registry(home).production()
    assert version is not None
    usual = home / "reports" / f"{version}.html"
    before = usual.read_bytes()
    usual.unlink()
    done = _run(home, "report")
    assert (done.exit_code, done.stdout.strip()) == (0, str(usual))
    assert usual.read_bytes() == before
    other = tmp_path / "deep" / "page.html"
    assert _run(home, "report", version, "--output", str(other)).exit_code == 0
    assert other.read_bytes() == before


def test_what_comes_from_data_is_text(tmp_path: Path) -> None:
    """Markup in a name of an attribute or of the data stays what it is."""
    registry = Registry(tmp_path)
    version = write_bundle(registry.directory, small_parts(30))
    manifest = registry.manifest(version)
    strange = replace(manifest, dataset_version="<script>alert(1)</script>")
    assert "<script" not in training_page(strange)


@pytest.mark.parametrize("kept", Kept)
def test_a_page_tells_what_orders_candidates(kept: Kept, tmp_path: Path) -> None:
    """In words, whatever was kept."""
    registry = Registry(tmp_path)
    version = write_bundle(registry.directory, small_parts(30))
    parameters = {"order": kept.value}
    page = _Page(training_page(replace(registry.manifest(version), parameters=parameters)))
    words = {
        Kept.POPULARITY: "none: what segments buy is better",
        Kept.CANDIDATES: "their own scores",
        Kept.SUM: "a sum",
        Kept.SHOWN: "a sum that learnt from what was shown",
        Kept.TREES: "trees over a sum",
    }
    assert f"candidates in the order of{words[kept]}" in page.text.replace("\n", "")


def test_a_model_that_was_not_judged_has_a_page(tmp_path: Path) -> None:
    """It says so."""
    registry = Registry(tmp_path)
    version = write_bundle(registry.directory, replace(small_parts(30), metrics={}))
    assert "Too few shoppers" in _Page(training_page(registry.manifest(version))).text


def test_where_a_page_cannot_be_written_it_is_said(home: Path) -> None:
    """Exit code 2, the path and why; no model but a known one has a page."""
    (home / "file").touch()
    done = _run(home, "report", "--output", str(home / "file" / "page.html"))
    assert (done.exit_code, "not written" in done.output) == (2, True)
    assert _run(home, "report", "20200101T000000Z-00000000").exit_code == 2


def test_plots_stand_on_a_round_axis() -> None:
    """From 0 to a round number that holds every interval; nothing at all is a plot, too."""
    drawn = intervals_plot("shop", "NDCG@10", [Mark("a", 0.1, 0.05, 0.174)])
    assert re.findall(r'class="tick"[^>]*>([\d.]+)<', drawn) == ["0", "0.05", "0.1", "0.15", "0.2"]
    assert "aria-label" in intervals_plot("shop", "NDCG@10", [])
    assert "aria-label" in intervals_plot("shop", "NDCG@10", [Mark("a", 0, 0, 0)])
