"""Which home `make` means."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def make(*words: str, home: str | None = None) -> subprocess.CompletedProcess[str]:
    """Return what `make` would do, doing nothing."""
    environment = {name: told for name, told in os.environ.items() if name != "CUVEE_HOME"}
    if home is not None:
        environment["CUVEE_HOME"] = home
    return subprocess.run(
        ["make", "--dry-run", "--old-file=.venv/.train", *words],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_deliveries_of_one_shop_meet_in_one_home() -> None:
    """By its name, wherever they lie, or by a home in full; the last line of the data says it."""
    told = "from any directory: CUVEE_HOME='{}' make run DATA=DIRECTORY"
    for folder in ("/deliveries/october", "/deliveries/november"):
        assert told.format("var/own/wines") in make("data", f"DATA={folder}", "SHOP=wines").stdout
    assert told.format("/srv/wines") in make("data", "DATA=/october", home="/srv/wines").stdout
    assert "CUVEE_HOME='var/own/october-" in make("data", "DATA=/deliveries/october").stdout


def test_a_shop_that_has_no_files_yet_is_no_demo() -> None:
    """Its name alone serves it as it is; the demo is made where neither is named."""
    alone = make("data", "SHOP=wines").stdout
    assert "there is no shop wines yet: name its files" in alone
    assert "simulate" not in alone
    assert "simulate --if-empty" in make("data").stdout


@pytest.mark.parametrize("target", ["data", "train", "show"])
def test_nothing_is_made_for_a_shop_that_is_not_there(tmp_path: Path, target: str) -> None:
    """A name that is misspelt leaves no home behind."""
    home = tmp_path / "home"
    environment = os.environ | {"CUVEE_HOME": str(home)}
    done = subprocess.run(
        ["make", "--old-file=.venv/.train", target, "SHOP=typo"],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = "error: there is no shop typo yet: name its files, make run SHOP=typo DATA=DIRECTORY\n"
    assert (done.returncode, done.stderr[: len(told)]) == (2, told)
    assert not home.exists()
    assert "there is no shop typo yet" in make("serve", "SHOP=typo").stdout


@pytest.mark.parametrize("name", ["two words", "a/b", "..", ".hidden", "a/"])
def test_a_name_is_no_path(name: str) -> None:
    """It would be another home than it looks."""
    done = make("data", f"SHOP={name}", "DATA=/x")
    assert done.returncode == 2
    assert f"SHOP: expected a name without blanks and slashes, not '{name}'" in done.stderr
