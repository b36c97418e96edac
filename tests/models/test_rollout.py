"""Rollouts as they are declared: what is told counts, mistakes are named."""

from pathlib import Path

import pytest

from features.errors import InputError
from models.rollout import parse_rollout, rollout_in_force


def test_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """1, 5 and 25 % of shoppers, then all."""
    monkeypatch.delenv("CUVEE_ROLLOUT", raising=False)
    rollout = rollout_in_force()
    assert (rollout.steps, rollout.automatic) == ((0.01, 0.05, 0.25), True)
    assert parse_rollout("", "empty") == rollout


def test_what_is_told_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Field by field, in parts, too."""
    path = tmp_path / "rollout.yaml"
    path.write_text("steps: [0.5]\nshadow: {requests: 0}\nguardrails: {clicks: 0.5}\n")
    monkeypatch.setenv("CUVEE_ROLLOUT", str(path))
    rollout, default = rollout_in_force(), parse_rollout("", "")
    assert (rollout.steps, rollout.shadow.requests, rollout.guardrails.clicks) == ((0.5,), 0, 0.5)
    assert rollout.shadow.share == default.shadow.share
    canary = rollout.begin("v")
    assert (canary.step, canary.share, rollout.after(canary)) == (1, 0.5, None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("steps: []", "r: steps: expected shares that rise, got"),
        ("steps: [0.2, 0.1]", "r: steps: expected shares that rise, got"),
        ("steps: [0.1, 1]", "r: steps: expected shares between 0 and 1, got 1"),
        ("steps: 0.1", "r: steps: expected a list, got 0.1"),
        ("automatic: perhaps", "r: automatic: expected true or false, got 'perhaps'"),
        ("alpha: 0", "r: alpha: expected a number from 1e-06 to 0.2, got 0"),
        ("alpha: .nan", "r: alpha: expected a number from"),
        (
            "least_requests: 1.5",
            "r: least_requests: expected a whole number from 1 to 1000000000000",
        ),
        ("least_requests: true", "r: least_requests: expected a whole number"),
        ("shadow: {cpu_share: 2}", "r: shadow.cpu_share: expected a number from 0.001 to 1, got 2"),
        (
            "guardrails: {error: 1}",
            "r: guardrails.error: there is no 'error'; did you mean 'errors'?",
        ),
        ("guardrails: 1", "r: guardrails: expected a mapping, got 1"),
        ("step: [0.1]", "r: step: there is no 'step'; did you mean 'steps'?"),
        ("{", "r: not YAML"),
        ("[]", "r: expected a mapping, got"),
        ("least_s: 10\nlongest_s: 10", "r: longest_s: expected more than least_s, 10"),
    ],
)
def test_mistakes_name_field_and_value(text: str, told: str) -> None:
    """What was expected is told, too."""
    with pytest.raises(InputError, match=told):
        parse_rollout(text, "r")


def test_every_mistake_is_told() -> None:
    """A line each, in whatever part of the file."""
    text = "step: [0.1]\nalpha: 0\nsteps: 0.1\nshadow: {request: 1, share: 2}\nguardrails: 1\n"
    with pytest.raises(InputError) as told:
        parse_rollout(text, "r")
    named = [line.split(": ")[:2] for line in str(told.value).splitlines()]
    fields = ("step", "alpha", "steps", "shadow.request", "shadow.share", "guardrails")
    assert named == [["r", field] for field in fields]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read"):
        rollout_in_force(tmp_path / "none.yaml")
