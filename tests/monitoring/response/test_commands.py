"""`python -m monitoring audit` and `fallback`: what was done, and a hand on what is done."""

import json
import time
from pathlib import Path

from click.testing import CliRunner, Result

from monitoring.__main__ import cli
from monitoring.fallback_share import share_now
from monitoring.response.trail import Trail
from tests.support.found import START_S, found
from tests.support.limits import no_room


def run(home: Path, *words: str) -> Result:
    """Run a verb over a home."""
    return CliRunner().invoke(cli, words, env={"CUVEE_HOME": str(home)})


def decided(trail: Trail, number: int, action: str, decided: str, **more: object) -> None:
    """Add a decision."""
    line = {
        "id": f"id-{number}",
        "rule": "bad model",
        "action": action,
        "decided": decided,
        "why": "a reason",
        "findings": [found().told()],
        "cost": None,
        **more,
    }
    trail.add(START_S + number, line)


def test_decisions_are_shown_with_what_they_led_to(tmp_path: Path) -> None:
    """The newest first, with the cost; JSON has the findings."""
    trail = Trail(tmp_path)
    cost = {"value": 300.0, "low": 158.58, "high": 1441.42, "currency": "EUR"}
    decided(trail, 1, "rollback", "taken", cost=cost)
    trail.add(START_S + 3, {"id": "id-1", "led_to": "v1 serves again", "took_s": 1.5})
    decided(trail, 2, "retrain", "limited")
    trail.add(START_S + 4, {"id": "id-7", "led_to": "of no decision"})
    head, second, first = run(tmp_path, "audit").output.splitlines()
    assert head.split()[:4] == ["at", "rule", "action", "decided"]
    assert "limited" in second
    assert first.startswith("2026-01-01T00:00:01Z  bad model  rollback  taken")
    assert first.endswith("v1 serves again  159 to 1,441 EUR")
    told = json.loads(run(tmp_path, "audit", "--json", "--action", "rollback").output)
    assert [each["id"] for each in told] == ["id-1"]
    assert told[0]["outcomes"][0]["took_s"] == 1.5
    assert told[0]["findings"][0]["subject"] == "spend"
    assert len(run(tmp_path, "audit", "--last", "1").output.splitlines()) == 2
    assert run(tmp_path, "audit", "--rule", "x").output == "nothing was decided yet\n"


def test_nothing_was_decided(tmp_path: Path) -> None:
    """That is no error."""
    done = run(tmp_path, "audit")
    assert (done.exit_code, done.output) == (0, "nothing was decided yet\n")


def test_the_share_is_set_and_ended_by_hand(tmp_path: Path) -> None:
    """With a reason, in the audit trail, too."""
    assert run(tmp_path, "fallback").output == "nobody is held back\n"
    done = run(tmp_path, "fallback", "--share", "0.3", "--minutes", "5", "--why", "a test")
    assert done.output.startswith("30% of shoppers get popular items until ")
    assert done.output.endswith(" UTC: a test\n")
    assert share_now(tmp_path, time.time()) == 0.3
    assert run(tmp_path, "fallback", "--end").output == "nobody is held back\n"
    assert share_now(tmp_path, time.time()) == 0
    told = json.loads(run(tmp_path, "audit", "--json").output)
    assert [(each["decided"], each["rule"]) for each in told] == [("by_hand", "by hand")] * 2
    assert told[1]["why"].endswith(": a test")
    assert told[1]["outcomes"][0]["led_to"] == "30% of shoppers"


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    """Both at once, too large a share, a disk that is full, a policy that is none."""
    done = run(tmp_path, "fallback", "--end", "--share", "0.1")
    assert (done.exit_code, "--end: expected no --share" in done.output) == (2, True)
    assert run(tmp_path, "fallback", "--share", "1.5").exit_code == 2
    with no_room():
        done = run(tmp_path, "fallback", "--share", "0.1")
    assert (done.exit_code, done.output.count("\n"), "error: " in done.output) == (2, 1, True)
    assert share_now(tmp_path, time.time()) == 0
    (tmp_path / "r.yaml").write_text("rules: 7")
    done = run(tmp_path, "run", "--response", str(tmp_path / "r.yaml"))
    assert done.exit_code == 2
    assert "r.yaml: rules: expected a list of mappings, got 7" in done.output
