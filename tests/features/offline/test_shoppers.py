"""Who is most active, for people and for load tests."""

from pathlib import Path

from click.testing import CliRunner

from features.__main__ import cli
from features.offline.shoppers import most_active
from features.offline.store import OfflineStore


def test_the_most_active_come_first(tmp_path: Path) -> None:
    """Of a simulated shop the ids come by number of events, and no more than asked for."""
    run = CliRunner(env={"CUVEE_HOME": str(tmp_path)})
    assert run.invoke(cli, ["simulate", "--events", "1000"]).exit_code == 0
    listed = run.invoke(cli, ["shoppers", "--most", "3"]).output.split()
    events = OfflineStore(tmp_path).scan("events").collect()
    counts = [events.filter(user_id=user_id).height for user_id in listed]
    assert len(listed) == 3
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == events.group_by("user_id").len()["len"].max()


def test_an_empty_store_has_none(tmp_path: Path) -> None:
    """Nothing is listed, and nothing fails, where there is no data."""
    assert most_active(OfflineStore(tmp_path), 5) == []
