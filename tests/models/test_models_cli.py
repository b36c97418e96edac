"""`python -m models`: what an operator sees."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from models.__main__ import VERBS, cli
from models.bundle import write_bundle
from models.manifest import LAYOUT
from models.registry import Registry
from models.signature import SigningKey, TrustedKeys, make_keys
from tests.support.bundles import small_parts
from tests.support.forged import forge


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
    for verb in VERBS:
        assert f"  {verb} " in done.stdout
    assert "loaded: False False" in done.stdout


def test_where_no_models_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home is a path, and of another directory it is another: it is told in full."""
    told = f"no models yet in {tmp_path}: python -m models train makes one\n"
    assert run("list").stdout == told
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CUVEE_HOME")
    assert run("list").stdout == told.replace(str(tmp_path), str(tmp_path / "var"))


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


def test_what_a_newer_program_wrote_is_not_called_damaged(registry: Registry) -> None:
    """It may well be whole: another program reads it."""
    version = written(registry)
    path = registry.directory / version / "manifest.json"
    path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), "layout": LAYOUT + 1}))
    told = f"manifest.json: expected layout {LAYOUT}, got {LAYOUT + 1}: written by a newer program"
    assert run("list").stderr == f"not read: {version}: {told}, upgrade this\n"
    assert run("verify", version).stderr == f"error: {told}, upgrade this\n"
    path.parent.rename(registry.directory / ".gone")
    newer = forge(registry.directory / written(registry), "future.npy", b"").name
    told = "manifest.json: files: future.npy not known: written by a newer program"
    assert run("list").stderr == f"not read: {newer}: {told}, upgrade this\n"
    assert run("verify", newer).stderr == f"error: {told}, upgrade this\n"


@pytest.mark.parametrize("garbage", [b"garbage\n", b"\xff\0", b"", b"20261123T101500Z-00000000\n"])
def test_list_names_aliases_that_name_nothing(registry: Registry, garbage: bytes) -> None:
    """The file is told: which model serves after the next start is chance."""
    version = written(registry)
    registry.promote(version)
    assert run("list").stderr == ""
    path = registry.directory / "aliases" / "production"
    path.write_bytes(garbage)
    done = run("list")
    assert (done.exit_code, version in done.stdout) == (0, True)
    assert done.stderr.startswith(f"warning: {path}: names no model that is here: '")
    assert len(done.stderr.splitlines()) == 1


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
    refused = run("rollback", "--serves", first)
    assert (refused.exit_code, "nothing was changed" in refused.stderr) == (2, True)
    for wrong in ("production", ""):  # as of a variable that is not set
        refused = run("rollback", "--serves", wrong)
        told = f"error: --serves: expected a version, got {wrong!r}\n"
        assert (refused.exit_code, refused.stderr) == (2, told)
    assert run("rollback", "--serves", second).stdout == f"production is {first}\n"
    assert (registry.production(), registry.previous()) == (first, second)


def test_a_reason_is_one_line(registry: Registry) -> None:
    """As over HTTP; what is refused moves nothing."""
    version = written(registry)
    for why in ("one\nother", "x" * 401):
        done = run("promote", version, "--why", why)
        assert (done.exit_code, registry.production()) == (2, None)
        assert done.stderr.startswith("error: --why: expected one line of 1 to 400 characters, ")
    assert run("promote", version, "--why", "x" * 400).exit_code == 0


def test_the_history_is_told(registry: Registry) -> None:
    """Newest first, with the reason that was given."""
    first, second = written(registry, 30), written(registry, 31)
    assert run("history").stdout == "no alias was moved yet\n"
    run("promote", first)
    run("promote", second, "--why", "clicks rose")
    run("rollback", "--why", "clicks fell")
    lines = run("history").stdout.splitlines()
    assert [line.split()[2] for line in lines[1:]] == ["rollback", "promote", "promote"]
    assert lines[1].endswith("clicks fell")
    (told,) = json.loads(run("history", "--json", "--last", "1").stdout)
    assert told["aliases"] == {"production": first, "previous": second, "candidate": None}
    assert (told["number"], told["why"], "@" in told["who"]) == (3, "clicks fell", True)


def test_diff_shows_what_differs(registry: Registry) -> None:
    """By alias or version, with the change of what is a number."""
    first, second = written(registry, 30), written(registry, 31)
    run("promote", first)
    run("promote", second)
    lines = run("diff").stdout.splitlines()
    assert lines[0].split() == [first, second, "change"]
    assert lines[1].split() == ["data:", "items", "30", "31", "+1"]
    assert any(line.startswith("files: price.npy") for line in lines)
    told = json.loads(run("diff", first, second, "--json").stdout)
    assert told[0] == {"part": "data", "name": "items", "first": 30, "second": 31}
    assert "no difference" in run("diff", first, first).stdout


def test_diff_tells_what_one_lacks_in_a_line(registry: Registry) -> None:
    """However much the other has of it; of what both have each value that differs."""
    figures = {"model": {"ndcg@10": 0.25, "mrr@10": 0.5}, "export": {"tower": {"error": 0.1}}}
    fewer = {"export": {"tower": {"error": 0.2}}}
    versions = [
        write_bundle(registry.directory, replace(small_parts(), metrics=each))
        for each in (figures, fewer)
    ]
    lines = [line.split() for line in run("diff", *versions).stdout.splitlines()]
    assert lines[1:] == [
        ["metrics:", "export.tower.error", "0.1", "0.2", "+0.1"],
        ["metrics:", "model", "2", "values", "-"],
    ]
    told = json.loads(run("diff", *versions, "--json").stdout)
    assert told[1]["first"] == figures["model"]


def test_gc_keeps_what_is_needed(registry: Registry) -> None:
    """A dry run says what would go; then it goes."""
    versions = sorted(written(registry, items) for items in (30, 31, 32))
    registry.promote(versions[0])
    done = run("gc", "--keep", "1", "--dry-run")
    assert done.stdout.splitlines()[0] == f"{versions[1]}: would be removed"
    assert len(registry.manifests()) == 3
    assert f"{versions[0]}: kept, production" in run("gc", "--keep", "1").stdout
    assert [each.version for each in registry.manifests()] == [versions[2], versions[0]]
    assert run("gc", "--keep", "-1").exit_code == 2


def test_a_card_is_written(registry: Registry, tmp_path: Path) -> None:
    """As Markdown, or as a page of its own."""
    registry.promote(version := written(registry))
    assert run("card").stdout.startswith(f"# Model {version}\n")
    path = tmp_path / "card.html"
    assert run("card", version, "--html", "-o", str(path)).stdout == f"{path}\n"
    page = path.read_text()
    assert f"<h1>Model {version}</h1>" in page
    assert "<td>dataset version</td>\n<td>events@3,items@1,users@0</td>" in page
    told = run("card", "-o", str(path / "card.md")).stderr
    assert told == f"error: {path / 'card.md'}: not written: File exists\n"


def test_keys_sign_and_are_asked_for(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a public key set only what was signed is verified and promoted."""
    version = written(registry)
    assert "CUVEE_MODEL_PRIVATE_KEY: expected" in run("sign", version).stderr
    told = run("keygen", str(tmp_path / "keys")).stdout.splitlines()
    assert told[1:] == [
        f"CUVEE_MODEL_PRIVATE_KEY={tmp_path}/keys/model-private.pem",
        f"CUVEE_MODEL_PUBLIC_KEY={tmp_path}/keys/model-public.pem",
    ]
    for line in told[1:]:
        monkeypatch.setenv(*line.split("="))
    for verb in ("verify", "promote"):
        done = run(verb, version)
        assert (done.exit_code, "is not signed" in done.stderr) == (2, True)
    assert run("sign", version).stdout == f"{version} is signed with {told[0]}\n"
    assert run("verify", version).stdout.endswith(f"signed with {told[0]}\n")
    assert run("promote", version).exit_code == 0
    monkeypatch.delenv("CUVEE_MODEL_PUBLIC_KEY")
    assert "not checked: no key is set" in run("verify").stdout
    monkeypatch.setenv("CUVEE_MODEL_PUBLIC_KEY", str(tmp_path / "none"))
    assert "No such file" in run("verify").stderr


@pytest.mark.parametrize("private", [None, "other"])
@pytest.mark.parametrize("words", [("train",), ("import", "mine.onnx")])
def test_what_would_not_be_believed_is_not_made(
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    private: str | None,
) -> None:
    """Without a private key that the public one trusts nothing is begun and nothing written."""
    _, public, _ = make_keys(tmp_path / "keys")
    monkeypatch.setenv("CUVEE_MODEL_PUBLIC_KEY", str(public))
    got = "nothing"
    if private is not None:
        other, _, told = make_keys(tmp_path / private)
        monkeypatch.setenv("CUVEE_MODEL_PRIVATE_KEY", str(other))
        got = f"key {told}"
    before = sorted(tmp_path.rglob("*"))
    done = run(*words)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: CUVEE_MODEL_PRIVATE_KEY: expected a file with a private")
    assert f"got {got}; nothing was made" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before
    assert registry.manifests() == []


def test_list_tells_which_models_are_signed(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By which key, where a key is set or a signature is there; else the table is as ever."""
    private, public, key = make_keys(tmp_path / "keys")
    unsigned = written(registry)
    assert "signed" not in run("list").stdout
    with monkeypatch.context() as patch:
        patch.setenv("CUVEE_MODEL_PUBLIC_KEY", str(public))
        assert run("list").stdout.splitlines()[1].endswith("  -")
    parts, signer = small_parts(31), SigningKey.of_file(private)
    signed = write_bundle(registry.directory, parts, key=signer)
    listed = json.loads(run("list", "--json").stdout)
    assert {row["version"]: row["signed"] for row in listed} == {signed: key, unsigned: "-"}


def test_a_home_that_only_serves_needs_no_private_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a model serves, `train --if-missing` makes none."""
    private, public, _ = make_keys(tmp_path / "keys")
    monkeypatch.setenv("CUVEE_MODEL_PUBLIC_KEY", str(public))
    key, trusted = SigningKey.of_file(private), TrustedKeys.of_file(public)
    registry = Registry(tmp_path, trusted)
    registry.promote(write_bundle(registry.directory, small_parts(), key=key))
    done = run("train", "--if-missing")
    assert done.exit_code == 0
    assert f"CUVEE_HOME={tmp_path} python -m models train learns from them" in done.stdout


def test_a_shared_registry(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Aliases are moved there unless it is said otherwise, and another home follows."""
    shared, other = tmp_path / "shared", Registry(tmp_path / "other")
    monkeypatch.setenv("CUVEE_REGISTRY", str(shared))
    first, second = written(registry, 30), written(registry, 31)
    assert run("promote", first, "--who", "ann").stdout == f"production is {first}\n"
    assert run("push", second).stdout.startswith(f"{second} is in {shared}: ")
    assert f"{first}  production" in run("list", "--shared").stdout
    assert "ann" in run("history", "--shared").stdout
    monkeypatch.setenv("CUVEE_HOME", str(tmp_path / "other"))
    assert run("pull").stdout == f"production is {first}\n"
    assert run("pull").stdout == "nothing new\n"
    assert run("pull", second).stdout == f"{second} is here\n"
    assert run("pull", "x").stderr.endswith("see python -m models list, also with --shared\n")
    assert run("promote", second, "--here").exit_code == 0
    assert other.production() == second
    listed = json.loads(run("list", "--shared", "--json").stdout)
    assert {row["version"]: row["aliases"] for row in listed} == {first: "production", second: "-"}
    assert run("rollback").stderr.startswith("error: there is no previous model to roll back to")
    assert run("rollback", "--here").stdout == f"production is {first}\n"
    done = run("gc", "--shared", "--keep", "0", "--dry-run")
    assert f"{second}: would be removed" in done.stdout
    assert f"{first}: kept, production" in done.stdout


@pytest.mark.parametrize("value", ["", "gs://bucket/models"])
def test_a_shared_registry_that_is_none(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """The variable is named, with what was expected."""
    monkeypatch.setenv("CUVEE_REGISTRY", value)
    for words in (("push", "x"), ("pull",), ("follow",), ("history", "--shared")):
        done = run(*words)
        assert done.exit_code == 2
        assert done.stderr.startswith("error: CUVEE_REGISTRY: expected s3://BUCKET/PREFIX or a dir")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_follower_ends_when_told(tmp_path: Path, number: signal.Signals) -> None:
    """By an orchestrator or by Ctrl-C: that is how it ends, and no failure."""
    environment = os.environ | {"CUVEE_REGISTRY": str(tmp_path / "shared")}
    command = [sys.executable, "-m", "models", "follow"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as follower:
        assert follower.stderr is not None
        assert "is away" in follower.stderr.readline()
        follower.send_signal(number)
        rest = follower.communicate()[1]
    assert (follower.returncode, rest) == (0, "")


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
