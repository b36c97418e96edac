"""The list of the forgotten: durable, whole whatever is killed, and without any id."""

from pathlib import Path

import pytest

from features.errors import StoreError
from features.identity.forgotten import ENTRY, FOLDER, LIST, ForgottenList
from features.ids import stable_hash


@pytest.fixture
def forgotten(tmp_path: Path) -> ForgottenList:
    """Return a list by a clock that stands still."""
    return ForgottenList(tmp_path, clock=lambda: 1.0)


def test_nobody_is_forgotten_in_a_new_home(forgotten: ForgottenList, tmp_path: Path) -> None:
    """Reading makes nothing."""
    told = forgotten.read()
    assert (len(told), told.latest_ms, told.until(["u1"])) == (0, 0, {})
    assert told.since(0).tolist() == []
    assert forgotten.state() == (0, 0)
    assert list(tmp_path.iterdir()) == []


def test_who_is_noted_is_listed_until_the_last_stamp(
    forgotten: ForgottenList, tmp_path: Path
) -> None:
    """By hash: the ids themselves are nowhere."""
    forgotten.add({"shopper-é": 10, "u2": 20})
    forgotten.add({"shopper-é": 30})

    told = ForgottenList(tmp_path).read()
    assert told.until(["u2", "u3", "shopper-é"]) == {"shopper-é": 30, "u2": 20}
    content = (tmp_path / FOLDER / LIST).read_bytes()
    assert len(content) == 3 * ENTRY.itemsize
    assert b"shopper" not in content


def test_each_noting_is_later_than_others(forgotten: ForgottenList) -> None:
    """Even by a clock that stands still, so that what is newer can be told."""
    first = forgotten.add({"u1": 10})["u1"]
    state = forgotten.state()
    second = forgotten.add({"u2": 10})["u2"]

    assert first == 1_000
    assert second > first
    assert forgotten.state() != state
    told = forgotten.read()
    assert told.latest_ms == second
    assert told.since(first).tolist() == [stable_hash("u2")]
    assert told.as_of(first).until(["u1", "u2"]) == {"u1": 10}


def test_those_noted_together_are_told_apart(forgotten: ForgottenList, tmp_path: Path) -> None:
    """Who reads while they are written, and sees some, finds that there are later ones."""
    noted = forgotten.add({f"u{number}": 10 for number in range(3)})
    path = tmp_path / FOLDER / LIST
    whole = path.read_bytes()
    path.write_bytes(whole[: ENTRY.itemsize])
    seen = forgotten.read().latest_ms
    path.write_bytes(whole)

    assert sorted(noted.values()) == [1_000, 1_001, 1_002]
    expected = {stable_hash("u1"), stable_hash("u2")}
    assert set(forgotten.read().since(seen).tolist()) == expected


def test_the_same_is_noted_once(forgotten: ForgottenList) -> None:
    """A tombstone that is taken again, by whomever, changes nothing."""
    first = forgotten.add({"u1": 10})
    state = forgotten.state()
    forgotten.add({"u2": 5})
    assert forgotten.add({"u1": 10}) == first
    assert len(forgotten.read()) == 2
    assert forgotten.add({"u1": 9}) == first  # whoever heeded the later one heeded this
    told = forgotten.read()
    assert (told.until(["u1"]), told.stamps(["u1", "u3"])) == ({"u1": 10}, {"u1": [9, 10]})
    assert told.since(first["u1"]).tolist() == [stable_hash("u2")]
    assert forgotten.state() != state


@pytest.mark.parametrize("cut", range(1, ENTRY.itemsize))
def test_a_part_of_an_entry_is_none(forgotten: ForgottenList, tmp_path: Path, cut: int) -> None:
    """Who is killed, or loses power, while writing leaves the others whole, and may come again."""
    forgotten.add({"u1": 10})
    forgotten.add({"u2": 20})
    path = tmp_path / FOLDER / LIST
    path.write_bytes(path.read_bytes()[:-cut])

    assert forgotten.read().until(["u1", "u2"]) == {"u1": 10}
    forgotten.add({"u2": 20, "u3": 30})
    assert forgotten.read().until(["u1", "u2", "u3"]) == {"u1": 10, "u2": 20, "u3": 30}
    assert path.stat().st_size == 3 * ENTRY.itemsize


def test_a_disk_that_refuses_is_an_error_of_the_store(tmp_path: Path) -> None:
    """Whoever notes tries again."""
    (tmp_path / FOLDER).write_text("in the way")
    forgotten = ForgottenList(tmp_path)
    for step in (forgotten.read, forgotten.state, lambda: forgotten.add({"u1": 10})):
        with pytest.raises(StoreError, match=r"list of the forgotten: .*forgotten"):
            step()
