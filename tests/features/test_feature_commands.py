"""`python -m features list`, `describe`, `validate`: by name, and a page that is up to date."""

import json
import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from features.__main__ import cli
from features.declared import FEATURE_NAMES, FEATURE_SET

ROOT = Path(__file__).parents[2]


def run(*words: str) -> Result:
    """Run `python -m features` with these words."""
    return CliRunner().invoke(cli, words)


def test_every_feature_is_listed() -> None:
    """With its view, its type, default and range, how it is computed; and the schema."""
    told = run("list").stdout
    assert [line.split()[0] for line in told.splitlines()[:-2]] == list(FEATURE_NAMES)
    rows = [" ".join(line.split()) for line in told.splitlines()]
    assert "avg_rating behaviour float 3.75 from 0 to 5 mean of rating in 365 days" in rows
    assert "hour request int 0 from 0 to 23 the request" in rows
    assert FEATURE_SET.schema_hash in told


def test_the_page_of_the_catalogue_is_made_of_the_declarations() -> None:
    """The tables of docs/features.md are what the command writes now."""
    page = (ROOT / "docs" / "features.md").read_text()
    told = page.partition("--markdown -->\n")[2].partition("<!-- so far")[0]
    assert told == run("list", "--markdown").stdout


def test_a_feature_is_described() -> None:
    """All that is declared of it, as JSON."""
    told = json.loads(run("describe", "avg_rating").stdout)
    assert told == {
        "name": "avg_rating",
        "description": "Mean stars in a year.",
        "view": "behaviour",
        "entity": {"name": "shopper", "join_key": "user_id"},
        "computed": "mean of rating in 365 days",
        "type": "float",
        "default": 3.75,
        "low": 0.0,
        "high": 5,
        "ttl_s": 31_536_000,
        "owner": "recommendations",
    }
    assert json.loads(run("describe", "recent_spend").stdout)["high"] is None


def test_a_feature_that_is_not_there_is_told() -> None:
    """With those that are."""
    told = run("describe", "clicks")
    assert told.exit_code == 2
    assert "there is no feature 'clicks'" in told.stderr
    assert "recent_click_count" in told.stderr


def test_a_file_is_validated(tmp_path: Path) -> None:
    """The example of the page is right, and a mistake is told without a traceback."""
    example = (ROOT / "docs" / "features.md").read_text().split("```python\n")[1].split("```")[0]
    path = tmp_path / "own.py"
    path.write_text(example)
    assert f"{len(FEATURE_NAMES) + 2} features in 4 views" in run("validate", str(path)).stdout
    path.write_text(example.replace("ttl_s=30 * DAY_S", "ttl_s=60"))
    told = run("validate", str(path))
    assert told.exit_code == 2
    assert "own.py: view own: baskets: seconds: expected 1 to 60" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_process_has_the_features_of_its_file(tmp_path: Path) -> None:
    """Whichever door it comes by; what cannot be used ends it in one line, the service too."""
    path = tmp_path / "own.py"
    path.write_text("from features.definitions import BEHAVIOUR\nVIEWS = (BEHAVIOUR,)\n")

    def process(*words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"CUVEE_FEATURES": str(path), "CUVEE_HOME": str(tmp_path)}
        return subprocess.run(
            [sys.executable, "-m", *words],
            env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    told = process("features", "list").stdout
    assert "recent_spend" in told
    assert "latitude" not in told
    path.write_text("VIEWS = (1, 2)\n")
    for words in (["features", "list"], ["server"], ["models", "train"]):
        done = process(*words)
        assert done.returncode == 2, words
        assert done.stderr == (
            f"error: CUVEE_FEATURES: {path}: VIEWS: expected a tuple of FeatureView, got (1, 2)\n"
        )
