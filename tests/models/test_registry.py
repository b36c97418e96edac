"""The registry: which model serves, which did before, and who may say so at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.bundle import write_bundle
from models.errors import BundleError, RegistryError
from models.registry import Registry
from tests.support.bundles import small_parts


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
    assert (registry.manifests(), registry.damaged()) == ([], {})
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
    assert registry.damaged().keys() == {second, third}
    assert "No such file" in registry.damaged()[third]


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


PROMOTE = """
import sys
from pathlib import Path
from models.registry import Registry
registry = Registry(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(25):
    registry.promote(sys.argv[2])
"""


def test_two_promoters_at_once(registry: Registry, tmp_path: Path) -> None:
    """Whoever is last serves, the other is previous, and readers only ever see versions."""
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
    assert {registry.production(), registry.previous()} == both
