"""What the documents say can be done: links lead somewhere, commands exist with those flags."""

import re
import subprocess
from importlib import import_module
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
MAKE = re.compile(r"(?:^|`)make ([a-z]+)", re.MULTILINE)
VERB = re.compile(r"python -m (features|models|monitoring|loadtests) ([a-z-]+)([^`\n]*)")
FLAG = re.compile(r"(?<![\w-])(--[a-z][a-z-]*)")
CITED = re.compile(
    r"`((?:server|features|models|monitoring|loadtests|deploy|docs|tests)/[\w./-]+)`"
)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that is there."""
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_cited_files_are_there(page: Path) -> None:
    """Every path of a room that is cited as code is there."""
    for path in CITED.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_make_targets_exist(page: Path) -> None:
    """Every `make TARGET` that is told is in the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(MAKE.findall(page.read_text(encoding="utf-8"))) <= targets


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_verbs_and_flags_exist(page: Path) -> None:
    """Every `python -m ROOM VERB --flag` that is told is taken by that room."""
    for room, verb, rest in VERB.findall(page.read_text(encoding="utf-8").replace("\\\n", " ")):
        group = import_module(f"{room}.__main__").cli
        context = click.Context(group)
        command = group.get_command(context, verb)
        if isinstance(command, click.Group) and rest.split():
            command = command.get_command(context, rest.split()[0])
        assert command is not None, f"{room} has no {verb} {rest}"
        taken = {option for each in command.params for option in each.opts} | {"--help"}
        assert set(FLAG.findall(rest)) <= taken, f"{room} {verb}"


def test_make_help_lists_every_target() -> None:
    """Each target that a person would call is explained."""
    listed = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    for target in phony[1].split():
        assert f"make {target} " in listed
