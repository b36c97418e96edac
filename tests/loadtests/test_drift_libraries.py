"""Libraries beside our rule: each in a process of its own, told windows, asked what has drifted."""

import sys
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pytest

from loadtests.drift.libraries import LENGTH, LIBRARIES, Columns, Detector, serve
from loadtests.drift.peer import command, started
from loadtests.drift.table import table
from loadtests.drift.trial import Outcome, Score
from loadtests.drift.world import Change, World
from loadtests.run import LoadTestError

DETECTOR = """
import sys
from loadtests.drift.libraries import serve

def made(reference):
    def drifted(window):
        assert [*window] == [*reference]
        return {name for name in window if "new level" in window[name].astype(str)}
    return drifted

serve(made, sys.stdin.buffer, sys.stdout)
"""


def test_a_process_is_told_windows_and_says_what_has_drifted() -> None:
    """One after another, words and numbers, and how long it took."""
    world = World(7)
    with started((sys.executable, "-c", DETECTOR), world.hour(0, 200)) as peer:
        assert peer.look(world.hour(1, 200)) == set()
        assert peer.look(world.hour(2, 200, Change(new=0.5))) == {"word 0", "word 1"}
        assert peer.clock() > 0


def test_a_library_that_is_not_there_is_told() -> None:
    """With what its process complained of; this environment has none of them."""
    world = World(7)
    with started(command("NannyML", Path(sys.executable)), world.hour(0, 20)) as peer:
        with pytest.raises(LoadTestError, match="No module named 'nannyml'"):
            peer.look(world.hour(1, 20))
        with pytest.raises(LoadTestError, match="No module named 'nannyml'"):
            peer.look(world.hour(2, 20))


def test_what_a_library_is_told_it_is_told_whole() -> None:
    """The reference once, then every window until the end."""
    seen: list[Columns] = []

    def made(reference: Columns) -> Detector:
        seen.append(reference)

        def drifted(window: Columns) -> set[str]:
            seen.append(window)
            return {"b", "a"}

        return drifted

    rows, answers = BytesIO(), StringIO()
    for number in range(3):
        told = BytesIO()
        np.savez(told, allow_pickle=False, a=np.full(2, number), b=np.array(["x", "yy"]))
        rows.write(len(told.getvalue()).to_bytes(LENGTH) + told.getvalue())
    rows.seek(0)
    serve(made, rows, answers)
    assert [each["a"].tolist() for each in seen] == [[0, 0], [1, 1], [2, 2]]
    assert seen[2]["b"].tolist() == ["x", "yy"]
    assert [line.split(",")[0] for line in answers.getvalue().splitlines()] == ['[["a"', '[["a"']


def test_libraries_stand_in_the_table_between_the_naive_rule_and_ours() -> None:
    """Where they were tried."""
    told = Outcome(quiet=4, scores={"x": Score(looks=1, possible=1)}, looks=1)
    for libraries in ([], ["NannyML"], [*LIBRARIES]):
        world = dict.fromkeys(["ours", *libraries, "naive"], told)
        rows = [line.split(" | ")[0] for line in table([world], ["x"]).splitlines()[2:-2]]
        assert rows == [f"| {each}" for each in ("naive", *libraries, "ours")]
