"""`python -m models rules`: a file checked and shown, from the outside."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from models.__main__ import cli
from models.bundle import write_bundle
from models.registry import Registry
from tests.support.bundles import small_parts


def run(*arguments: str) -> Result:
    """Run `python -m models rules`."""
    return CliRunner().invoke(cli, ["rules", *arguments])


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a valid file, in an empty home."""
    monkeypatch.setenv("CUVEE_HOME", str(tmp_path))
    path = tmp_path / "shop.yaml"
    path.write_text(
        "pins: [{item: wine-0001, position: 1}, {item: gone, position: 2, from: 2026-12-01}]\n"
        "repurchase: {categories: {Red: 30d}}\nweights: {click: 0.2}\n"
        "pages: {home: {k: 12, pins: null, caps: {default: 3}}}\n"
    )
    return path


def test_a_valid_file_is_said_to_be_one(file: Path) -> None:
    """Without a model, its names are not checked, and that is told."""
    told = run("validate", str(file))
    assert told.exit_code == 0
    assert f"{file}: valid, digest " in told.output
    assert "names are not checked: there is no production model" in told.output


def test_what_the_model_does_not_know_is_told(file: Path, tmp_path: Path) -> None:
    """By name, and it is no mistake."""
    registry = Registry(tmp_path)
    registry.promote(write_bundle(tmp_path / "models", small_parts()))
    told = run("validate", str(file))
    assert told.exit_code == 0
    assert "warning: the model has no item 'gone': rules on it do nothing" in told.output
    assert "wine-0001" not in told.output
    assert "valid" in run("validate", "--model", registry.production() or "", str(file)).output


def test_every_mistake_is_told_and_nothing_else(file: Path) -> None:
    """With its place, and no traceback."""
    file.write_text("diversity: 3\npages: {home: {k: 0}}\n")
    for verb in ("validate", "show"):
        told = run(verb, str(file))
        assert told.exit_code == 2
        assert told.output.splitlines() == [
            f"error: {file}: diversity: expected a number from 0 to 1, got 3",
            f"{file}: pages.home.k: expected a whole number from 1 to 100, got 0",
        ]


def test_what_holds_on_each_page_is_shown(file: Path) -> None:
    """What it inherits included, and what it takes back not."""
    told = run("show", str(file)).output
    home = run("show", "--page", "home", str(file)).output
    assert home.splitlines()[:2] == ["home", "  k: 12"]
    assert "pins" not in home
    assert "caps" in home
    assert told.count("wine-0001") == 4
    assert "weights: click 0.2" in told
    assert told.endswith("  repurchase:\n    default: never\n    categories:\n      Red: 30d\n")
    assert "from: 2026-12-01 00:00+00:00" in told
    assert run("show", "--page", "checkout", str(file)).exit_code == 2
    assert run("show", str(file.parent / "nowhere.yaml")).exit_code == 2
