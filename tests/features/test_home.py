"""Where Cuvée keeps its things, and how a shell is told."""

import shlex
from pathlib import Path

import pytest

from features.home import command_in


@pytest.mark.parametrize("home", ["var", "var/own/my shop", "it's"])
def test_a_command_for_a_home_is_one_for_a_shell(home: str) -> None:
    """Blanks and quotes in its name included."""
    told = command_in(Path(home), "python -m models train")
    assert shlex.split(told) == [f"CUVEE_HOME={home}", "python", "-m", "models", "train"]
