"""`python -m models`: what an operator sees."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from models.__main__ import cli
from models.bundle import write_bundle
from models.registry import Registry
from tests.support.bundles import small_parts


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name an empty home."""
    monkeypatch.setenv("CUVEE_HOME", str(tmp_path))


def run(*words: str) -> Result:
    """Run a verb."""
    return CliRunner().invoke(cli, words)


def written(registry: Registry, items: int = 30) -> str:
    """Write a bundle and return its version."""
    return write_bundle(registry.directory, small_parts(items))


def test_help_names_every_verb() -> None:
    """The room's door says what there is without importing any of it."""
    told = "import sys; from models.__main__ import cli; cli(['--help'], standalone_mode=False); "
    told += "print('loaded:', 'models.registry' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    for verb in ("train", "evaluate", "list", "show", "verify", "promote", "rollback"):
        assert f"  {verb} " in done.stdout
    assert "loaded: False False" in done.stdout


def test_a_model_that_is_left_aside_is_told(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training in its place may not be what was meant."""
    with monkeypatch.context() as patch:
        patch.setattr("models.bundle.RANKER_FEATURES", ("other",))
        version = written(registry)
        registry.promote(version)

    done = run("train", "--if-missing")

    assert f"the production model cannot be used: {version}: made for features" in done.stderr
    assert done.exit_code == 2  # there are no data to train on


def test_list_without_models() -> None:
    """No models: what to do is said."""
    done = run("list")
    assert (done.exit_code, "python -m models train" in done.output) == (0, True)
    assert json.loads(run("list", "--json").stdout) == []


def test_list_names_models_and_aliases(registry: Registry) -> None:
    """A line each, with its aliases and its quality; as JSON too."""
    first, second = written(registry, 30), written(registry, 31)
    registry.promote(first)
    registry.set_candidate(second)
    lines = {line.split()[0]: line.split()[1:] for line in run("list").stdout.splitlines()}
    assert lines["version"] == ["aliases", "items", "ndcg@10", "dataset"]
    assert lines[first] == ["production", "30", "0.25", "events@3,items@1,users@0"]
    assert lines[second][:2] == ["candidate", "31"]
    listed = json.loads(run("list", "--json").stdout)
    assert {row["version"]: row["items"] for row in listed} == {first: 30, second: 31}


def test_list_names_what_is_damaged(registry: Registry) -> None:
    """A bundle that cannot be believed is not passed over in silence."""
    version = written(registry)
    (registry.directory / version / "manifest.json").write_bytes(b"{")
    done = run("list")
    assert done.exit_code == 0
    assert f"damaged: {version}: manifest.json: not JSON" in done.stderr


def test_show_prints_the_manifest(registry: Registry) -> None:
    """By version or alias, as JSON."""
    registry.promote(version := written(registry))
    for name in ((), ("production",), (version,)):
        assert json.loads(run("show", *name).stdout)["version"] == version


def test_verify_tells_whole_from_damaged(registry: Registry) -> None:
    """A whole model says so; a damaged one names the file, and the exit code is 2."""
    version = written(registry)
    assert f"{version}: intact, 30 items" in run("verify", version).stdout
    (registry.directory / version / "ranker.onnx").write_bytes(b"")
    done = run("verify", version)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ranker.onnx: expected")


def test_promote_and_rollback(registry: Registry) -> None:
    """Both say what serves now."""
    first, second = written(registry, 30), written(registry, 31)
    assert run("promote", first).stdout == f"production is {first}\n"
    registry.set_candidate(second)
    assert run("promote", "candidate").stdout == f"production is {second}\n"
    assert run("rollback").stdout == f"production is {first}\n"
    assert (registry.production(), registry.previous()) == (first, second)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("show",), "error: there is no production model"),
        (("verify", "x"), "error: there is no model 'x'"),
        (("promote", "../etc"), "error: there is no model '../etc'"),
        (("promote", "candidate"), "error: there is no candidate model"),
        (("rollback",), "error: there is no previous model to roll back to"),
    ],
)
def test_mistakes_are_one_line(words: tuple[str, ...], told: str) -> None:
    """A mistake is told in one line on stderr with exit code 2."""
    done = run(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(told)
    assert len(done.stderr.splitlines()) == 1


def test_an_unknown_verb() -> None:
    """A verb that is none is told as such."""
    done = run("demote")
    assert (done.exit_code, "No such command 'demote'" in done.stderr) == (2, True)
