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
    for folder in ("/deliveries/october", "/deliveries/november"):
        done = make("data", f"DATA={folder}", "SHOP=wines")
        assert 'from any directory: make run SHOP=wines DATA=DIRECTORY"' in done.stdout
    told = "from any directory: CUVEE_HOME='/srv/wines' make run DATA=DIRECTORY\""
    assert told in make("data", "DATA=/october", home="/srv/wines").stdout
    assert "CUVEE_HOME='var/own/october-" in make("data", "DATA=/deliveries/october").stdout


def test_the_next_delivery_has_the_mapping_of_this_one() -> None:
    """Without it the files of a shop with other names are none."""
    done = make("data", "DATA=/october", "SHOP=wines", "MAPPING=docs/mappings/xwines.yaml")
    assert "SHOP=wines DATA=DIRECTORY MAPPING='docs/mappings/xwines.yaml'" in done.stdout


def test_two_homes_are_not_one() -> None:
    """A home that is still exported would take in the delivery of another shop."""
    done = make("data", "DATA=/october", "SHOP=wines", home="var/own/beers")
    assert done.returncode == 2
    assert "SHOP=wines and CUVEE_HOME=var/own/beers name two homes: say one of them" in done.stderr
    for home in ("var/own/wines", str(ROOT / "var/own/wines/")):
        assert make("data", "DATA=/october", "SHOP=wines", home=home).returncode == 0


def test_a_shop_that_has_no_files_yet_is_no_demo() -> None:
    """Its name alone serves it as it is; the demo is made where neither is named."""
    alone = make("data", "SHOP=wines").stdout
    assert "there is no shop wines yet: name its files" in alone
    assert "simulate" not in alone
    assert "simulate --if-empty" in make("data").stdout


@pytest.mark.parametrize("target", ["data", "train", "show"])
def test_nothing_is_made_for_a_shop_that_is_not_there(target: str) -> None:
    """A name that is misspelt leaves no home behind."""
    environment = {name: told for name, told in os.environ.items() if name != "CUVEE_HOME"}
    done = subprocess.run(
        ["make", "--old-file=.venv/.train", target, "SHOP=typo"],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = "error: there is no shop typo yet: name its files, make run SHOP=typo DATA=DIRECTORY\n"
    assert (done.returncode, done.stderr[: len(told)]) == (2, told)
    assert not (ROOT / "var/own/typo").exists()
    assert "there is no shop typo yet" in make("serve", "SHOP=typo").stdout


@pytest.mark.parametrize("name", ["two words", "a/b", "..", ".hidden", "a/"])
def test_a_name_is_no_path(name: str) -> None:
    """It would be another home than it looks."""
    done = make("data", f"SHOP={name}", "DATA=/x")
    assert done.returncode == 2
    assert f"SHOP: expected a name without blanks and slashes, not '{name}'" in done.stderr
