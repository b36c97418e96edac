"""Where Cuvée keeps its things, and how a shell is told."""

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from features.__main__ import cli
from features.home import command_in


@pytest.mark.parametrize("home", ["var", "var/own/my shop", "it's"])
def test_a_command_for_a_home_is_one_for_a_shell(home: str) -> None:
    """Blanks and quotes in its name included."""
    told = command_in(Path(home), "python -m models train")
    assert shlex.split(told) == [f"CUVEE_HOME={home}", "python", "-m", "models", "train"]


@pytest.mark.parametrize("command", ["show", "tidy", "quality list", "dataset list"])
def test_a_file_is_no_home(tmp_path: Path, command: str) -> None:
    """It looked like a home with nothing in it."""
    file = tmp_path / "file"
    file.touch()
    done = CliRunner().invoke(cli, command.split(), env={"CUVEE_HOME": str(file)})
    told = f"error: CUVEE_HOME: expected a directory, got the file '{file}'\n"
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", told)
