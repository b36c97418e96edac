"""Files that variables name, in each room: what is wrong in one is told with its variable."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from features.errors import InputError
from features.quality.rules import rules_in_force
from models.rollout import rollout_in_force
from monitoring.__main__ import cli
from monitoring.drift.policy import policy_in_force as drift_in_force
from monitoring.outcomes.policy import policy_in_force as outcomes_in_force
from monitoring.performance.policy import policy_in_force as performance_in_force

READ: dict[str, Callable[[Path | None], object]] = {
    "CUVEE_QUALITY": rules_in_force,
    "CUVEE_ROLLOUT": rollout_in_force,
    "CUVEE_DRIFT": drift_in_force,
    "CUVEE_OUTCOMES": outcomes_in_force,
    "CUVEE_PERFORMANCE": performance_in_force,
}
BAD = ("nonsense: 1", "[1]", "a: [", None)
"""Texts of files, and that there is none."""


@pytest.mark.parametrize("variable", READ)
@pytest.mark.parametrize("text", BAD)
def test_a_file_of_a_variable_is_told_by_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, text: str | None
) -> None:
    """One that a call names by its own name alone."""
    path = tmp_path / "own.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as named:
        READ[variable](path)
    monkeypatch.setenv(variable, str(path))
    with pytest.raises(InputError) as told:
        READ[variable](None)

    assert str(named.value).startswith(str(path))
    assert str(told.value) == f"{variable}: {named.value}"


def test_each_mistake_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line each."""
    path = tmp_path / "own.yaml"
    path.write_text("steps: none\nalpha: 7\n")
    monkeypatch.setenv("CUVEE_ROLLOUT", str(path))
    with pytest.raises(InputError) as told:
        rollout_in_force()
    lines = str(told.value).splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"CUVEE_ROLLOUT: {path}: ") for line in lines)


def test_a_policy_of_responses_is_told_so(tmp_path: Path) -> None:
    """Where it comes from the variable; an option names itself."""
    path = tmp_path / "own.yaml"
    path.write_text("dry_run: perhaps\n")
    mistake = f"{path}: dry_run: expected true or false, got 'perhaps'\n"
    home = {"CUVEE_HOME": str(tmp_path / "home")}
    done = CliRunner().invoke(cli, ["run"], env=home | {"CUVEE_RESPONSE": str(path)})
    assert (done.exit_code, done.stderr) == (2, f"error: CUVEE_RESPONSE: {mistake}")
    done = CliRunner().invoke(cli, ["run", "--response", str(path)], env=home)
    assert (done.exit_code, done.stderr) == (2, f"error: {mistake}")
