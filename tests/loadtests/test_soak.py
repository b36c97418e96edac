"""A soak goes on where it was stopped, and tells growth from noise."""

import json
import random
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.command import run
from loadtests.run import LoadTestError
from loadtests.soak.__main__ import main
from loadtests.soak.journal import Journal
from loadtests.soak.memory import Memory
from loadtests.soak.plot import plot
from loadtests.soak.step import Load, Step
from loadtests.soak.traffic import Shop, Traffic
from loadtests.soak.trend import trend
from loadtests.soak.verdict import Growth, judge, table

ROOT = Path(__file__).parents[2]
LOAD = Load(300.0, 100.0, items=1_000, shoppers=1_000, trees=0)
HELD = Memory(100.0, 90.0, 80.0)


def steps(memory: Iterable[float], process: int = 1, began: int = 0) -> list[Step]:
    """Return steps of five minutes in which the worker held so much."""
    return [
        Step(
            load=LOAD,
            seconds=300.0 * (began + number + 1),
            process=process,
            is_first=number == 0,
            requests=100,
            failed=0,
            examples=[],
            promotions=number,
            refused=0,
            promoted_s=[300.0 * (began + number) + 1],
            rss_mb=[(300.0 * (began + number), much)],
            worker=HELD,
            master=HELD,
            valkey=HELD,
            consumers=HELD,
            p50_ms=1.0,
            p99_ms=2.0,
            open_files=20,
            threads=5,
        )
        for number, much in enumerate(memory)
    ]


def noisy(growth: float) -> list[float]:
    """Return the memory of an hour after a warm-up, which grows by so many MB an hour."""
    draw = random.Random(1)
    return [60.0, *(100 + growth * at / 12 + draw.uniform(-0.5, 0.5) for at in range(12))]


def test_the_slope_is_the_median_of_all_pairs() -> None:
    """One point that is far off moves neither the slope nor its range past the others."""
    points = [(float(x), 2.0 * x + 5) for x in range(20)]
    points[7] = (7.0, 500.0)
    found = trend([points])
    assert found is not None
    assert found.slope == pytest.approx(2)
    assert found.low == found.high == pytest.approx(2)


def test_the_levels_of_processes_do_not_count() -> None:
    """Only points of one group make a slope."""
    found = trend([[(0, 1), (1, 1), (2, 1)], [(3, 90), (4, 90), (5, 90)]])
    assert found == (0, 0, 0)
    assert trend([[(0, 1)], [(1, 2)]]) is None


def test_flat_and_noisy_passes() -> None:
    """Half a megabyte to and fro is no growth, nor is the warm-up."""
    verdict = judge(steps(noisy(0)), 300)
    assert verdict.growth is Growth.FLAT
    assert verdict.is_kept
    assert verdict.trend is not None
    assert verdict.trend.low < 0 < verdict.trend.high


def test_growth_fails() -> None:
    """Five megabytes an hour are seen through the noise."""
    verdict = judge(steps(noisy(5)), 300)
    assert verdict.growth is Growth.GROWS
    assert not verdict.is_kept
    assert "grows" in table(steps(noisy(5)), verdict)


def test_growth_is_seen_across_processes() -> None:
    """Each process counts from its own level, after its own warm-up."""
    memory = noisy(5)
    verdict = judge([*steps(memory[:7]), *steps(memory[:7], 2, 7)], 300)
    assert (verdict.growth, verdict.judged) == (Growth.GROWS, 12)


def test_few_steps_tell_nothing() -> None:
    """Fewer than five steps after warm-up are no verdict, and no failure."""
    verdict = judge(steps([60, 100, 110, 120, 130]), 300)
    assert verdict.growth is Growth.TOO_FEW
    assert verdict.is_kept
    assert "too few" in table(steps([60, 100]), verdict)
    assert judge([], 300).growth is Growth.TOO_FEW


def test_a_longer_warm_up_leaves_more_out() -> None:
    """What a process holds while it warms up is not judged."""
    assert judge(steps([60, 80, *[100.0] * 8]), 600).judged == 8
    assert judge(steps([60, 80, *[100.0] * 8]), 0).judged == 9


@pytest.mark.parametrize("wrong", [{"failed": 1}, {"refused": 1}])
def test_one_failure_is_too_many(wrong: dict[str, int]) -> None:
    """A request or a promotion that failed fails the whole, however flat memory is."""
    flat = steps(noisy(0))
    flat[3] = replace(flat[3], examples=["HTTP/1.1 500"], **wrong)  # type: ignore[arg-type]
    verdict = judge(flat, 300)
    assert verdict.growth is Growth.FLAT
    assert not verdict.is_kept
    assert "HTTP/1.1 500" in table(flat, verdict)


def test_a_half_written_line_is_no_step(tmp_path: Path) -> None:
    """The next step takes its place, and all whole ones are as they were."""
    journal, made = Journal(tmp_path), steps([1.0, 2.0, 3.0])
    for step in made[:2]:
        journal.append(step)
    path = tmp_path / "steps.jsonl"
    path.write_text(path.read_text() + made[2].line()[:40])
    assert journal.steps(LOAD) == made[:2]
    journal.append(made[2])
    assert journal.steps(LOAD) == made


@pytest.mark.parametrize(
    "other", [replace(LOAD, step_s=60.0), replace(LOAD, rate=9.0), replace(LOAD, items=2_000)]
)
def test_steps_of_another_load_are_not_gone_on_with(tmp_path: Path, other: Load) -> None:
    """Steps of another length, rate or shop cannot be compared."""
    journal = Journal(tmp_path)
    journal.append(steps([1.0])[0])
    with pytest.raises(LoadTestError, match="name another folder"):
        journal.steps(other)


def test_a_line_that_is_no_step_is_told(tmp_path: Path) -> None:
    """A whole line of something else is named."""
    (tmp_path / "steps.jsonl").write_text('{"load": 1}\n')
    with pytest.raises(LoadTestError, match="line 1 is no step"):
        Journal(tmp_path).steps(LOAD)


def test_one_soak_at_a_time(tmp_path: Path) -> None:
    """A second one in the same folder is refused."""
    with (
        Journal(tmp_path).held(),
        pytest.raises(LoadTestError, match="a soak runs"),
        Journal(tmp_path).held(),
    ):
        pass


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    """Nothing can be kept in a file."""
    (tmp_path / "file").touch()
    with pytest.raises(LoadTestError, match="--out"):
        Journal(tmp_path / "file")


def test_the_picture_is_the_same_for_the_same_steps(tmp_path: Path) -> None:
    """Two processes and their promotions are drawn, byte by byte alike."""
    made = [*steps([1.0, 2.0]), *steps([3.0, 4.0], 2, 2)]
    plot(made, tmp_path / "one.svg")
    plot(made, tmp_path / "two.svg")
    assert "<svg" in (tmp_path / "one.svg").read_text()
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_requests_hardly_repeat() -> None:
    """But for the regulars' lists, which are to be found in the cache."""
    lists = Traffic(Shop(10_000, 10_000), seed=1).lists()
    drawn = [next(lists) for _ in range(2_000)]
    assert 0.5 < len(set(drawn)) / len(drawn) < 0.9
    events = Traffic(Shop(10_000, 10_000), seed=1).events()
    assert len({next(events) for _ in range(1_000)}) == 1_000


def soak(out: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run a soak of steps of a second."""
    return subprocess.run(
        [sys.executable, "-m", "loadtests.soak", "--step-minutes", str(1 / 60), "--rate", "40",
         "--warm-up-minutes", "0", "--items", "300", "--shoppers", "50", "--trees", "0",
         "--out", str(out), *options],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_a_soak_is_gone_on_with(tmp_path: Path) -> None:
    """A step is made, and by the next call, with a new process, the one that is missing."""
    out = tmp_path / "soak"
    first = soak(out, "--minutes", str(1 / 60), "--promotions", "2")
    assert first.returncode == 0, first.stdout + first.stderr
    with (out / "steps.jsonl").open("a") as file:
        file.write('{"load": {"step_s"')
    second = soak(out, "--minutes", str(2 / 60), "--promotions", "4")
    assert second.returncode == 0, second.stdout + second.stderr
    assert (out / "soak.md").read_text() == second.stdout
    assert "<svg" in (out / "soak.svg").read_text()
    told = [json.loads(line) for line in (out / "steps.jsonl").read_text().splitlines()]
    assert [(each["process"], each["is_first"]) for each in told] == [(1, True), (2, True)]
    assert [(each["seconds"], each["promotions"]) for each in told] == [(1, 2), (2, 4)]
    for each in told:
        assert each["requests"] > 10
        assert (each["failed"], each["refused"]) == (0, 0), each["examples"]
        assert len(each["promoted_s"]) == 2
        assert each["threads"] > 1
        assert each["open_files"] > 5
        for kind in ("worker", "master", "valkey", "consumers"):
            assert 0 < each[kind]["pss_mb"] <= each[kind]["rss_mb"]
    assert not list(out.glob("home-*"))


def test_a_wrong_option_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Usage errors end with 2, and start nothing."""
    monkeypatch.setattr(sys, "argv", ["soak", "--minutes", "0", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="2"):
        run(main)
    assert "--minutes" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
