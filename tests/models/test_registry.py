"""The registry: which model serves, which did before, and who may say so at once."""

import gc
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from models.bundle import write_bundle
from models.directory import replace_file
from models.errors import BundleError, ConflictError, RegistryError
from models.journal import Aliases
from models.model import Model
from models.registry import Registry
from tests.support.bundles import small_parts
from tests.support.forged import forge


def written(registry: Registry, items: int = 30) -> str:
    """Write a bundle and return its version."""
    return write_bundle(registry.directory, small_parts(items))


def flip(path: Path) -> None:
    """Flip one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def aliases(registry: Registry) -> tuple[str | None, str | None, str | None]:
    """Return production, previous and candidate."""
    return registry.production(), registry.previous(), registry.candidate()


def test_an_empty_home(registry: Registry) -> None:
    """Asking a home without models creates nothing."""
    assert (registry.manifests(), registry.unreadable()) == ([], {})
    assert aliases(registry) == (None, None, None)
    assert not registry.directory.exists()


def test_promotion_moves_production_to_previous(registry: Registry) -> None:
    """The model that served is kept to roll back to."""
    first, second, third = (written(registry, items) for items in (30, 31, 32))
    registry.promote(first)
    assert aliases(registry) == (first, None, None)
    registry.promote(second)
    registry.promote(third)
    assert aliases(registry) == (third, second, None)
    assert registry.load("production").version == third
    assert registry.manifest("previous").items == 31


def test_promotion_twice_is_promotion_once(registry: Registry) -> None:
    """Promoting what serves does not lose what served before."""
    first, second = written(registry, 30), written(registry, 31)
    for version in (first, second, second):
        registry.promote(version)
    assert aliases(registry) == (second, first, None)


def test_a_promotion_may_be_of_one_that_serves_alone(registry: Registry) -> None:
    """What was measured against one model takes the place of no other."""
    first, second, third = (written(registry, items) for items in (30, 31, 32))
    registry.promote(first)
    registry.promote(second)
    with pytest.raises(ConflictError, match="nothing was changed"):
        registry.promote(third, serves=first, canary=None)
    assert aliases(registry) == (second, first, None)
    registry.promote(third, serves=second, canary=None)
    assert aliases(registry) == (third, second, None)


def test_a_rollback_can_be_rolled_back(registry: Registry) -> None:
    """Rolling back swaps both, so nothing is lost by it."""
    first, second = written(registry, 30), written(registry, 31)
    registry.promote(first)
    registry.promote(second)
    assert registry.rollback() == first
    assert aliases(registry) == (first, second, None)
    assert registry.rollback() == second
    assert aliases(registry) == (second, first, None)


def test_nothing_to_roll_back_to(registry: Registry) -> None:
    """Without a previous model a rollback changes nothing."""
    with pytest.raises(RegistryError, match="no previous model"):
        registry.rollback()
    registry.promote(only := written(registry))
    with pytest.raises(RegistryError, match="no previous model"):
        registry.rollback()
    assert aliases(registry) == (only, None, None)


def test_a_candidate_waits_for_its_promotion(registry: Registry) -> None:
    """Promoted, by name or alias, it is no candidate any more."""
    first, second = written(registry, 30), written(registry, 31)
    registry.promote(first)
    registry.set_candidate(second)
    assert aliases(registry) == (first, None, second)
    registry.promote("candidate")
    assert aliases(registry) == (second, first, None)


@pytest.mark.parametrize(
    "name", ["nothing", "", ".", "..", "../models", "aliases", ".writing-x", "/etc", "a\0b", "ü"]
)
def test_unknown_versions(registry: Registry, name: str) -> None:
    """What is no version is named, and never looked for outside of the models."""
    registry.promote(only := written(registry))
    (registry.directory / ".writing-x").mkdir()
    for ask in (registry.promote, registry.set_candidate, registry.load, registry.manifest):
        with pytest.raises(RegistryError, match="there is no model"):
            ask(name)
    assert aliases(registry) == (only, None, None)


@pytest.mark.parametrize("alias", ["production", "previous", "candidate"])
def test_an_alias_of_nothing(registry: Registry, alias: str) -> None:
    """An alias that names no model says which one."""
    written(registry)
    with pytest.raises(RegistryError, match=f"there is no {alias} model"):
        registry.resolve(alias)


def test_a_rollback_to_what_serves_is_none(registry: Registry) -> None:
    """Somebody wrote an alias by hand, say: it would be told as done, and help nobody."""
    version = registry.promote(write_bundle(registry.directory, small_parts()))
    (registry.directory / "aliases" / "previous").write_text(version)
    with pytest.raises(RegistryError, match=f"the previous model, {version}, is the one that"):
        registry.rollback()
    assert [each.action for each in registry.history()] == ["promote"]


def test_damage_is_not_promoted_and_not_rolled_back_to(registry: Registry) -> None:
    """A flipped bit changes nothing but what is told of it."""
    first, second = written(registry, 30), written(registry, 31)
    registry.promote(first)
    flip(registry.directory / second / "tower.onnx")
    with pytest.raises(BundleError, match=r"tower\.onnx"):
        registry.promote(second)
    assert aliases(registry) == (first, None, None)
    third = written(registry, 32)
    registry.promote(third)
    flip(registry.directory / first / "price.npy")
    with pytest.raises(BundleError, match=r"price\.npy"):
        registry.rollback()
    assert aliases(registry) == (third, first, None)


def test_damaged_and_unfinished_bundles_are_told_apart(registry: Registry) -> None:
    """What cannot be believed is not listed but named; what is unfinished is neither."""
    first, second, third = (written(registry, items) for items in (30, 31, 32))
    flip(registry.directory / second / "manifest.json")
    (registry.directory / third / "manifest.json").unlink()
    (registry.directory / ".writing-left").mkdir()
    (registry.directory / "a file").write_text("")
    registry.promote(first)
    assert [each.version for each in registry.manifests()] == [first]
    assert registry.unreadable().keys() == {second, third}
    assert "No such file" in str(registry.unreadable()[third])


def test_models_are_listed_newest_first(registry: Registry) -> None:
    """The newest is what a service falls back on first."""
    versions = [written(registry, items) for items in (30, 31, 32)]
    listed = [each.version for each in registry.manifests()]
    assert listed == sorted(versions, reverse=True)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"no such version\n", b"../../etc\n"])
def test_a_damaged_alias_is_mended_by_a_promotion(registry: Registry, content: bytes) -> None:
    """An alias that names nothing is told of, becomes no previous model, and is replaced."""
    first, second = written(registry, 30), written(registry, 31)
    registry.promote(first)
    registry.promote(second)
    (registry.directory / "aliases" / "production").write_bytes(content)
    with pytest.raises(RegistryError, match="there is no model"):
        registry.load("production")
    registry.promote(second)
    assert aliases(registry) == (second, first, None)


def test_an_empty_alias_is_none(registry: Registry) -> None:
    """An alias without a version is as good as none."""
    registry.promote(only := written(registry))
    (registry.directory / "aliases" / "production").write_bytes(b"")
    assert registry.production() is None
    registry.promote(only)
    assert registry.production() == only


def test_aliases_that_cannot_be_written(registry: Registry) -> None:
    """A home where aliases cannot be is told in one line."""
    only = written(registry)
    (registry.directory / "aliases").write_text("")
    with pytest.raises(RegistryError, match="aliases"):
        registry.promote(only)


def test_a_full_disk_leaves_the_alias(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an alias cannot be replaced the old one stands, and nothing lies beside it."""
    first, second = written(registry, 30), written(registry, 31)
    registry.promote(first)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RegistryError, match="No space left on device"):
            registry.promote(second)
    assert aliases(registry) == (first, None, None)
    assert {path.name for path in (registry.directory / "aliases").iterdir()} == {
        ".lock", "production",
    }  # fmt: skip


def test_every_step_of_a_full_disk(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever write fails, what serves is the old or the new one, and it can be mended."""
    first, second, third = (written(registry, items) for items in (30, 31, 32))
    registry.promote(first)
    registry.promote(second)
    fsync, left = os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    for steps in range(6):
        left = steps
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(RegistryError, match="No space left on device"):
                registry.promote(third)
        assert registry.production() in {second, third}
        assert registry.load("production").version == registry.production()
        registry.promote(second)
        registry.promote(first)
        registry.promote(second)
        assert aliases(registry)[:2] == (second, first)


READ_ONLY = """
set -e
mount --bind {home} {home} 2>/dev/null && mount -o remount,bind,ro {home} 2>/dev/null || exit 77
exec {python} -m models promote {version}
"""


def test_a_read_only_disk_is_told_and_serves_on(registry: Registry, tmp_path: Path) -> None:
    """Where nothing can be written a promotion says so in a line, and the old one serves."""
    first, second = written(registry, 30), written(registry, 31)
    registry.promote(first)
    script = READ_ONLY.format(home=tmp_path, python=sys.executable, version=second)
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CUVEE_HOME": str(tmp_path)},
    )
    if done.returncode not in {0, 2}:
        pytest.skip("this machine lets nobody mount a directory read-only")
    assert "aliases: Read-only file system" in done.stderr
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert aliases(registry) == (first, None, None)


def test_the_history_tells_who_moved_what_and_why(registry: Registry) -> None:
    """Every move leaves a record; the newest says what the aliases name."""
    first, second = written(registry, 30), written(registry, 31)
    registry.promote(first, "the first", "ann")
    registry.set_candidate(second, "trained", "the trainer")
    registry.promote(second, who="ann")
    registry.rollback("clicks fell", "the watch")
    newest, *older = registry.history()
    assert (newest.action, newest.who, newest.why) == ("rollback", "the watch", "clicks fell")
    assert newest.aliases == Aliases(first, second, None) == registry.aliases()
    assert [each.action for each in older] == ["promote", "candidate", "promote"]
    assert [each.number for each in (newest, *older)] == [4, 3, 2, 1]
    assert older[1].aliases == Aliases(first, None, second)
    assert older[0].at < newest.at


def test_a_record_is_never_changed(registry: Registry) -> None:
    """Moves add files; those that are there stay as they are."""
    first, second = written(registry, 30), written(registry, 31)
    registry.promote(first)
    folder = registry.directory / "history"
    before = (folder / "00000001.json").read_bytes()
    registry.promote(second)
    registry.rollback()
    assert (folder / "00000001.json").read_bytes() == before
    assert max(path.name for path in folder.glob("*.json")) == "00000003.json"


def test_what_was_moved_without_a_record_is_found(registry: Registry) -> None:
    """A process that was killed between record and alias, or a hand, is told of by the next."""
    first, second = written(registry, 30), written(registry, 31)
    registry.promote(first)
    (registry.directory / "aliases" / "production").write_text(second)
    registry.set_candidate(first)
    newest, found, _ = registry.history()
    assert (found.action, found.aliases) == ("found", Aliases(second, None, None))
    assert newest.aliases == Aliases(second, None, first)


def test_a_home_without_history_goes_on(registry: Registry) -> None:
    """Aliases of an older program serve, and the first move writes the first record."""
    first, second = written(registry, 30), written(registry, 31)
    (registry.directory / "aliases").mkdir()
    (registry.directory / "aliases" / "production").write_text(first)
    assert (registry.production(), list(registry.history())) == (first, [])
    registry.promote(second)
    assert aliases(registry) == (second, first, None)
    assert [each.action for each in registry.history()] == ["promote"]


def test_a_record_that_is_none_is_told(registry: Registry) -> None:
    """A damaged record stops moves, not serving."""
    only = written(registry)
    registry.promote(only)
    (registry.directory / "history" / "00000001.json").write_bytes(b"{")
    with pytest.raises(RegistryError, match=r"00000001\.json: not a record"):
        registry.set_candidate(only)
    assert registry.load("production").version == only


# Two at once


def test_a_promotion_that_was_overtaken_changes_nothing(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who promotes while another promotion is looked at wins; the other is told by whom."""
    first, second, third = (written(registry, items) for items in (30, 31, 32))
    registry.promote(first)
    load = registry.load

    def overtaken(version: str) -> Model:
        monkeypatch.undo()
        registry.promote(third, who="ben")
        return load(version)

    monkeypatch.setattr(registry, "load", overtaken)
    with pytest.raises(ConflictError, match=f"ben was quicker .*production is {third}"):
        registry.promote(second)
    assert aliases(registry) == (third, first, None)


def test_a_rollback_that_was_overtaken_changes_nothing(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two who roll back at once roll back once, not forth again."""
    first, second = written(registry, 30), written(registry, 31)
    registry.promote(first)
    registry.promote(second)
    load = registry.load

    def overtaken(version: str) -> Model:
        monkeypatch.undo()
        registry.rollback(who="ben")
        return load(version)

    monkeypatch.setattr(registry, "load", overtaken)
    with pytest.raises(ConflictError, match="ben was quicker"):
        registry.rollback()
    assert aliases(registry) == (first, second, None)


PROMOTE = """
import sys
from pathlib import Path
from models.errors import ConflictError
from models.registry import Registry
registry = Registry(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
won = told = 0
for _ in range(25):
    before = registry.production()
    try:
        registry.promote(sys.argv[2], who=sys.argv[2])
        won += before != sys.argv[2]
    except ConflictError:
        told += 1
print(won, told)
"""


def test_two_promoters_at_once(registry: Registry, tmp_path: Path) -> None:
    """Each promotion wins or is told; all that won are in the history, one after another."""
    both = {written(registry, 30), written(registry, 31)}
    promoters = [
        subprocess.Popen(
            [sys.executable, "-c", PROMOTE, str(tmp_path), version],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for version in both
    ]
    for promoter in promoters:
        assert promoter.stdout is not None
        assert promoter.stdout.readline() == b"ready\n"
    for promoter in promoters:
        assert promoter.stdin is not None
        promoter.stdin.write(b"\n")
        promoter.stdin.flush()
    seen: set[str | None] = set()
    while any(promoter.poll() is None for promoter in promoters):
        seen |= {registry.production(), registry.previous()}
    assert [promoter.returncode for promoter in promoters] == [0, 0]
    for promoter in promoters:
        promoter.communicate()
    assert seen <= both | {None}
    served = [each.aliases.production for each in registry.history()]
    assert served[0] == registry.production()
    assert all(one != other for one, other in pairwise(served))
    assert {registry.production(), registry.previous()} == both


# What is removed


def test_old_models_are_removed(registry: Registry) -> None:
    """The newest stay, and those with an alias; the rest is gone, its bytes told."""
    versions = sorted(written(registry, items) for items in range(30, 36))
    for version in (versions[0], versions[1]):
        registry.promote(version)
    registry.set_candidate(versions[2])
    (registry.directory / "aliases" / ".lock").unlink()
    wanted = registry.clear(1, dry_run=True)
    assert not (registry.directory / "aliases" / ".lock").exists()
    assert {each.version for each in registry.manifests()} == set(versions)
    cleared = registry.clear(1)
    assert cleared == wanted
    assert set(cleared.versions) == {versions[3], versions[4]}
    assert cleared.kept == {
        versions[2]: "candidate", versions[1]: "production", versions[0]: "previous",
    }  # fmt: skip
    assert cleared.size > 0
    assert {each.version for each in registry.manifests()} == {*versions[:3], versions[5]}
    assert {path.name for path in registry.directory.iterdir()} == {
        "aliases", "history", *versions[:3], versions[5],
    }  # fmt: skip


def test_tidying_makes_no_home(tmp_path: Path) -> None:
    """A misspelt one would look like one that has models."""
    assert Registry(tmp_path / "misspelt").clear(1).versions == ()
    assert not (tmp_path / "misspelt").exists()


def test_pages_about_models_go_with_them(registry: Registry) -> None:
    """Those of models that went before, too; what is no page of a model stays."""
    old, new = sorted(written(registry, items) for items in (30, 31))
    gone = "20200101T000000Z-00000000"
    pages = {each: registry.report_path(each) for each in (old, new, gone, "evaluation")}
    for path in pages.values():
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    registry.clear(1, dry_run=True)
    assert all(path.exists() for path in pages.values())
    assert registry.clear(1).versions == (old,)
    assert {name for name, path in pages.items() if path.exists()} == {new, "evaluation"}


def test_what_is_read_is_not_removed(registry: Registry) -> None:
    """A model that somebody has loaded stays until they let go of it."""
    version = written(registry)
    model = registry.load(version)
    manifest = registry.directory / version / "manifest.json"
    replace_file(manifest, manifest.read_bytes())  # as signing does
    assert registry.clear(0).kept == {version: "being read"}
    model.warm()
    del model
    gc.collect()
    assert registry.clear(0).versions == (version,)
    with pytest.raises(RegistryError, match="there is no model"):
        registry.load(version)


READ = """
import sys
from pathlib import Path
from models.registry import Registry
model = Registry(Path(sys.argv[1])).load(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
"""


def test_what_another_process_reads_is_not_removed(registry: Registry, tmp_path: Path) -> None:
    """The hold ends with the process, however it ends."""
    version = written(registry)
    reader = subprocess.Popen(
        [sys.executable, "-c", READ, str(tmp_path), version],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"ready\n"
        assert registry.clear(0).kept == {version: "being read"}
        reader.kill()
    assert registry.clear(0).versions == (version,)


def test_what_cannot_be_read_is_not_removed(registry: Registry) -> None:
    """A newer program's bundle is not this program's to remove."""
    version = written(registry)
    manifest = registry.directory / version / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"layout": 2', b'"layout": 9'))
    assert "written by a newer program" in str(registry.unreadable()[version])
    assert registry.clear(0).versions == ()
    assert manifest.exists()


def test_what_holds_a_newer_programs_file_is_not_removed(registry: Registry) -> None:
    """Nor does it count among those that are kept."""
    version = written(registry, 31)
    newer = forge(registry.directory / written(registry), "future.npy", b"").name
    assert "written by a newer program" in str(registry.unreadable()[newer])
    assert registry.clear(1).versions == ()
    assert registry.clear(0).versions == (version,)
    assert registry.has(newer)
