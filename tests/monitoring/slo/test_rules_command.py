"""The command that makes rules: what is committed is what it makes, and it breaks nothing."""

import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from monitoring.__main__ import cli
from monitoring.slo.rules_command import MADE

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "prometheus"
SLO = ROOT / "deploy" / "slo.yaml"


def rules(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(cli, ["rules", "--slo", str(SLO), *arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the rule files that are committed."""
    for path in FOLDER.glob("*.rules.yaml"):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_what_is_committed_is_what_it_makes() -> None:
    """Nothing was changed by hand, and nothing was forgotten."""
    done = rules("--out", str(FOLDER), "--check")
    assert (done.output, done.exit_code) == ("", 0)


def test_a_change_by_hand_is_found_and_undone(folder: Path) -> None:
    """`--check` says so and writes nothing."""
    kept = (folder / MADE).read_text()
    (folder / MADE).write_text(kept.replace("14.4", "15"))

    found = rules("--out", str(folder), "--check")
    assert (found.output, found.exit_code) == (f"would change {folder / MADE}\n", 1)
    assert "15 *" in (folder / MADE).read_text()

    assert rules("--out", str(folder)).output == f"wrote {folder / MADE}\n"
    assert (folder / MADE).read_text() == kept


def test_all_alerts_link_where_the_docs_are(folder: Path) -> None:
    """Those that are made and those that are written by hand; and back."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    rules("--out", str(folder), "--docs", "https://shop.example/docs/")
    links = [
        rule["annotations"]["runbook_url"]
        for path in folder.iterdir()
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    assert len(links) > 20
    assert all(each.startswith("https://shop.example/docs/runbook.md#cuvee") for each in links)

    rules("--out", str(folder))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_all_windows_can_be_shorter(folder: Path) -> None:
    """Ranges and intervals are; names, limits and alerts stay."""
    slow = yaml.safe_load((folder / MADE).read_text())["groups"]
    rules("--out", str(folder), "--faster", "300")
    fast = yaml.safe_load((folder / MADE).read_text())["groups"]

    assert [group["interval"] for group in fast] == ["1s", "100ms", "100ms"]
    assert [rule for group in fast[2:] for rule in group["rules"]] == slow[2]["rules"]
    names = [[rule["record"] for rule in group["rules"]] for group in fast[:2]]
    assert names == [[rule["record"] for rule in group["rules"]] for group in slow[:2]]
    text = (folder / MADE).read_text()
    assert "[12s]" in text
    assert "[1h]" not in text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--docs", "my docs"], "error: --docs: expected a URL or a path without blanks"),
        (["--docs", "a#b"], "error: --docs: expected"),
        (["--faster", "0"], "'--faster': 0"),
        (["--faster", "nan"], "'--faster': nan is not in the range"),
        (["--out", "nowhere"], "'--out': Directory 'nowhere' does not exist"),
    ],
)
def test_mistakes_change_nothing(folder: Path, arguments: list[str], told: str) -> None:
    """One line, exit 2, no traceback."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = rules("--out", str(folder), *arguments)
    assert done.exit_code == 2
    assert told in done.output
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_bad_file_changes_nothing(folder: Path) -> None:
    """The field is named, and the rules stay as they were."""
    bad = folder / "bad.yaml"
    bad.write_text(SLO.read_text().replace("0.999", "1", 1))
    kept = (folder / MADE).read_bytes()
    done = CliRunner().invoke(cli, ["rules", "--slo", str(bad), "--out", str(folder)])
    assert done.exit_code == 2
    assert "objectives.availability.target: expected a share between 0 and 1, got 1" in done.output
    assert (folder / MADE).read_bytes() == kept
    missing = CliRunner().invoke(cli, ["rules", "--slo", "no.yaml", "--out", str(folder)])
    assert (missing.exit_code, "no.yaml: cannot be read" in missing.output) == (2, True)
