"""A registry that homes share, in a directory and in a bucket: of two one wins."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, pairwise
from pathlib import Path
from threading import Thread

import pytest

import models.bucket
from models.bucket import Bucket
from models.bundle import sign_bundle, write_bundle
from models.canary import Canary
from models.canary_counts import CONTROL, REQUESTS, CanaryCounter, read_counts
from models.errors import AwayError, BehindError, BundleError, ConflictError, RegistryError
from models.journal import Aliases
from models.leftovers import YOUNG_S
from models.manifest import LAYOUT
from models.model import Model
from models.registry import Registry
from models.rollout import rollout_in_force
from models.shared_registry import SharedRegistry
from models.signature import SigningKey, TrustedKeys, make_keys
from models.storage import Directory, Storage
from tests.support.bundles import small_parts
from tests.support.forged import forge
from tests.support.limits import no_room
from tests.support.s3 import S3, VARIABLES, s3

__all__ = ["s3"]

Home = Callable[..., SharedRegistry]
numbers = count()

in_a_directory = pytest.mark.parametrize("url", ["directory"], indirect=True)
"""For what has nothing to do with where the registry is."""


@pytest.fixture(params=["directory", "bucket"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where the shared registry is."""
    if request.param == "directory":
        (tmp_path / "shared").mkdir()
        return str(tmp_path / "shared")
    name = f"models-{next(numbers)}"
    request.getfixturevalue("s3").bucket(name)
    return f"s3://{name}/cuvee"


@pytest.fixture
def home(url: str, tmp_path: Path) -> Home:
    """Return a function that makes the shared registry as the home of a name sees it."""

    def made(name: str = "a", trusted: TrustedKeys | None = None) -> SharedRegistry:
        return SharedRegistry(storage(url), Registry(tmp_path / name, trusted))

    return made


def storage(url: str) -> Storage:
    """Return the storage behind a URL or in a directory."""
    return Bucket(url) if url.startswith("s3://") else Directory(Path(url))


def written(shared: SharedRegistry, items: int = 30, key: SigningKey | None = None) -> str:
    """Write a bundle into a home and return its version."""
    return write_bundle(shared._registry.directory, small_parts(items), key=key)


def local(shared: SharedRegistry) -> Aliases:
    """Return the aliases of the home."""
    return shared._registry.aliases()


def replace_blob(url: str, name: str, content: bytes, tmp_path: Path) -> None:
    """Put something else in the place of an object."""
    (tmp_path / "other").write_bytes(content)
    storage(url).upload(tmp_path / "other", name)


def test_an_empty_registry(home: Home) -> None:
    """There is nothing, and nothing to follow or to roll back to."""
    shared = home()
    assert (shared.aliases(), shared.manifests(), list(shared.history())) == (Aliases(), [], [])
    assert shared.follow() is None
    with pytest.raises(RegistryError, match="no previous model to roll back to"):
        shared.rollback()
    with pytest.raises(RegistryError, match="no production model in"):
        shared.pull("production")
    with pytest.raises(RegistryError, match="there is no model 20261123T101500Z-00000000 in"):
        shared.pull("20261123T101500Z-00000000")
    for name in ("../models", "", "a/b"):
        with pytest.raises(RegistryError, match="there is no model"):
            shared.pull(name)


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    ("url", "told"),
    [("nowhere", "there is no such directory"), ("s3://nowhere/cuvee", "bucket does not exist")],
)
def test_a_registry_that_is_not_there_is_not_an_empty_one(
    tmp_path: Path, url: str, told: str
) -> None:
    """Whoever only reads has most likely mistyped its name."""
    where = url if url.startswith("s3://") else str(tmp_path / url)
    shared = SharedRegistry(storage(where), Registry(tmp_path / "a"))
    reads: tuple[Callable[[], object], ...] = (
        shared.manifests,
        lambda: list(shared.history()),
        shared.follow,
        lambda: shared.clear(1),
        lambda: shared.pull("20261123T101500Z-00000000"),
        lambda: shared.pull("production"),
    )
    for read in reads:
        with pytest.raises(AwayError, match=told):
            read()
    assert not (tmp_path / url).exists()


@pytest.mark.parametrize("write", ["push", "promote", "set_candidate"])
def test_the_first_to_write_makes_the_directory(tmp_path: Path, write: str) -> None:
    """Nobody need make it before."""
    shared = SharedRegistry(Directory(tmp_path / "new"), Registry(tmp_path / "a"))
    version = written(shared)
    getattr(shared, write)(version)
    assert [each.version for each in shared.manifests()] == [version]


def test_what_is_promoted_in_one_home_serves_in_another(home: Home) -> None:
    """Promotions and rollbacks are followed, with the reason, and files arrive whole."""
    one, other = home("a"), home("b")
    first, second = written(one, 30), written(one, 31)
    assert one.promote(first, "the first", "ann") == first
    assert other.follow() is not None
    assert local(other) == Aliases(first) == local(one)
    other._registry.load(first).warm()
    one.promote(second, "clicks rose", "ann")
    other.follow()
    assert local(other) == Aliases(second, first)
    newest = next(other._registry.history())
    assert (newest.action, newest.why) == ("follow", "promote by ann: clicks rose")
    with pytest.raises(ConflictError, match="nothing was changed"):
        other.rollback(serves=first)
    with pytest.raises(ConflictError, match="nothing was changed"):
        other.promote(first, serves=first)
    assert other.rollback("clicks fell", "ben", serves=second) == first
    one.follow()
    assert local(one) == local(other) == one.aliases() == Aliases(first, second)
    assert [each.action for each in one.history()] == ["rollback", "promote", "promote"]
    assert (one.follow(), other.follow()) == (None, None)


@in_a_directory
def test_a_candidate_is_shared(home: Home) -> None:
    """What one home trained another may promote, by its alias."""
    one, other = home("a"), home("b")
    version = written(one)
    one.set_candidate(version, "trained")
    assert local(one) == Aliases(candidate=version)
    assert other.promote("candidate") == version
    assert other.aliases() == local(other) == Aliases(version)


def test_a_push_sends_what_is_not_there(home: Home, url: str) -> None:
    """Files of equal content are one blob; a second push sends none of them."""
    shared = home()
    first, second = written(shared, 30), written(shared, 31)
    pushed = shared.push(first)
    assert (pushed.there, pushed.sent) == (0, len(storage(url).entries("blobs/sha256")))
    assert shared.push(first).sent == 0
    assert 0 < shared.push(second).there < pushed.sent
    assert shared.push(second, anew=True).there == 0
    assert [each.version for each in shared.manifests()] == sorted((first, second), reverse=True)


def test_a_rollback_sends_nothing_but_its_record(
    home: Home, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there need not fit once more where room is short."""
    shared = home()
    first, second = written(shared, 30), written(shared, 31)
    shared.promote(first)
    shared.promote(second)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(storage(url)), "upload", full)
    assert shared.rollback() == first
    assert shared.aliases() == local(shared) == Aliases(first, second)


def test_a_pull_takes_from_home_what_is_there(
    home: Home, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a bundle of the home holds is not fetched again, unless it is damaged there."""
    one, other = home("a"), home("b")
    first, second = written(one, 30), written(one, 31)
    one.push(first)
    one.push(second)
    other.pull(first)
    kept = other._registry.directory / first / "tower.onnx"
    kept.write_bytes(b"damaged")
    fetched: list[str] = []
    download = type(storage(url)).download

    def noted(self: Storage, name: str, path: Path) -> None:
        fetched.append(name)
        download(self, name, path)

    monkeypatch.setattr(type(storage(url)), "download", noted)
    assert other.pull(second) == second
    files = other._registry.manifest(second).files
    assert f"blobs/sha256/{files['tower.onnx'].sha256}" in fetched
    assert f"blobs/sha256/{files['items.json'].sha256}" not in fetched
    other._registry.load(second)
    assert other.pull(second) == second


# Two at once


def test_of_two_promotions_at_once_one_wins(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looked before the other moved changes nothing, and is told who was quicker."""
    one, other = home("a"), home("b")
    first, second, third = written(one, 30), written(one, 31), written(other, 32)
    one.promote(first)
    push = one.push

    def overtaken(name: str) -> object:
        other.promote(third, who="ben")
        return push(name)

    monkeypatch.setattr(one, "push", overtaken)
    with pytest.raises(ConflictError, match=f"ben was quicker .*production is {third}"):
        one.promote(second)
    assert one.aliases() == Aliases(third, first)
    assert local(one) == Aliases(first)
    one.follow()
    assert local(one) == Aliases(third, first)


def test_a_move_that_does_not_matter_is_no_conflict(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between look and write somebody named a candidate: the promotion looks again and wins."""
    one, other = home("a"), home("b")
    first, second = written(one, 30), written(other, 31)
    append = one._journal.append

    def overtaken(record: object) -> None:
        monkeypatch.undo()
        other.set_candidate(second)
        append(record)  # type: ignore[arg-type]

    monkeypatch.setattr(one._journal, "append", overtaken)
    one.promote(first)
    assert one.aliases() == Aliases(first, None, second)


RACE = """
import sys
from pathlib import Path
from models.errors import ConflictError
from models.home_registry import shared_registry
from models.registry import Registry
shared = shared_registry(Registry(Path(sys.argv[1])))
print("ready", flush=True)
sys.stdin.readline()
won = 0
for _ in range(4):
    before = len(list(shared.history()))
    try:
        shared.promote(sys.argv[2], who=sys.argv[2])
    except ConflictError:
        pass
"""


@pytest.mark.slow
def test_promoters_in_two_processes(home: Home, url: str, tmp_path: Path) -> None:
    """However their writes meet, every record follows from the one before."""
    versions = {name: written(home(name), items) for name, items in (("a", 30), ("b", 31))}
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(tmp_path / name), version],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "CUVEE_REGISTRY": url},
        )
        for name, version in versions.items()
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == b"ready\n"
    for racer in racers:
        racer.communicate(b"\n", timeout=100)
    assert [racer.returncode for racer in racers] == [0, 0]
    records = list(home().history())[::-1]
    assert [each.number for each in records] == list(range(1, len(records) + 1))
    for before, after in pairwise(records):
        assert after.aliases == before.aliases.promoted(after.who)


# What is damaged, unsigned or away


@pytest.mark.parametrize("damage", ["cut", "flipped", "missing"])
def test_a_damaged_blob_is_not_pulled(home: Home, url: str, tmp_path: Path, damage: str) -> None:
    """The file and the blob are named, the home is as it was, and a push mends it."""
    one, other = home("a"), home("b")
    version = written(one)
    one.promote(version)
    told = one._registry.manifest(version).files["price.npy"]
    blob = f"blobs/sha256/{told.sha256}"
    content = storage(url).read(blob)
    if damage == "missing":
        storage(url).remove(blob)
    else:
        other_content = content[:-9] if damage == "cut" else bytes([content[0] ^ 1]) + content[1:]
        replace_blob(url, blob, other_content, tmp_path)
    with pytest.raises(BundleError, match=rf"price\.npy: blob {told.sha256} is (damaged|missing)"):
        other.follow()
    assert local(other) == Aliases()
    assert list(other._registry.directory.glob("*")) == []
    one.push(version, anew=damage == "flipped")
    other.follow()
    assert local(other) == Aliases(version)


@pytest.mark.parametrize("part", ["manifest", "blob"])
@in_a_directory
def test_what_need_not_serve_may_be_gone(home: Home, url: str, part: str) -> None:
    """A bucket may let old objects expire: homes follow all the same, and name what is there."""
    one, other = home("a"), home("b")
    first, second = written(one, 30), written(one, 31)
    one.promote(first)
    one.promote(second)
    gone = f"manifests/{first}.json"
    if part == "blob":
        gone = f"blobs/sha256/{one._registry.manifest(first).files['price.npy'].sha256}"
    storage(url).remove(gone)
    other.follow()
    assert local(other) == Aliases(second)
    assert one.aliases() == Aliases(second, first)


def test_a_push_that_was_cut_is_no_bundle(
    home: Home, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest comes last: what was sent before it is nobody's, and the next push goes on."""
    one, other = home("a"), home("b")
    version = written(one)
    kind, left = type(storage(url)), 5
    upload = kind.upload

    def cut(self: Storage, path: Path, name: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise ConnectionResetError(104, "Connection reset by peer")
        upload(self, path, name)

    with monkeypatch.context() as patch:
        patch.setattr(kind, "upload", cut)
        with pytest.raises(AwayError, match="Connection reset by peer"):
            one.promote(version)
    assert (one.manifests(), one.aliases(), local(one)) == ([], Aliases(), Aliases())
    with pytest.raises(RegistryError, match="there is no model"):
        other.pull(version)
    assert one.push(version).there == 5


def test_a_write_whose_answer_was_lost_is_no_conflict(
    home: Home, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that is there because the first try wrote it is ours."""
    shared = home()
    version = written(shared)
    kind = type(storage(url))
    create = kind.create

    def twice(self: Storage, name: str, content: bytes) -> None:
        create(self, name, content)
        create(self, name, content)

    monkeypatch.setattr(kind, "create", twice)
    shared.set_candidate(version)
    assert [each.action for each in shared.history()] == ["candidate"]


@in_a_directory
def test_signatures_are_asked_of_what_is_pulled(home: Home, tmp_path: Path) -> None:
    """Unsigned or signed by another: nothing arrives, and the home serves on."""
    private, public, _ = make_keys(tmp_path / "keys")
    theirs, _, _ = make_keys(tmp_path / "theirs")
    one, careful = home("a"), home("b", TrustedKeys.of_file(public))
    versions = {
        "is not signed": written(one, 30),
        "is signed with key": written(one, 31, SigningKey.of_file(theirs)),
    }
    for told, version in versions.items():
        one.promote(version)
        with pytest.raises(BundleError, match=told):
            careful.follow()
    assert local(careful) == Aliases()
    signed = written(one, 32, SigningKey.of_file(private))
    one.promote(signed)
    careful.follow()
    assert local(careful) == Aliases(signed)


def test_a_signature_made_later_reaches_who_has_the_model(home: Home, tmp_path: Path) -> None:
    """What was made before there was a key is signed, pushed and pulled once more."""
    private, public, _ = make_keys(tmp_path / "keys")
    key, trusted = SigningKey.of_file(private), TrustedKeys.of_file(public)
    one, other = home("a"), home("b")
    one.promote(version := written(one))
    other.follow()
    sign_bundle(one._registry.directory / version, key)
    assert one.push(version).sent == 0
    careful = home("b", trusted)
    with pytest.raises(BundleError, match="is not signed"):
        careful._registry.load(version)
    assert careful.pull(version) == version
    careful._registry.load(version).warm()


def test_who_has_no_signature_takes_none_away(home: Home, tmp_path: Path) -> None:
    """A home that has the model as it was before may push and promote it."""
    private, public, _ = make_keys(tmp_path / "keys")
    one, other = home("a"), home("b")
    version = written(one)
    one.push(version)
    other.pull(version)
    sign_bundle(one._registry.directory / version, SigningKey.of_file(private))
    one.push(version)
    other.push(version, anew=True)
    other.promote(version)
    careful = home("c", TrustedKeys.of_file(public))
    careful.follow()
    assert local(careful) == Aliases(version)
    one.push(version)


@in_a_directory
def test_what_is_damaged_in_the_home_is_brought_anew(home: Home, tmp_path: Path) -> None:
    """Changed, or a file too many: a pull mends it; where it cannot, all is left as it is."""
    one, other = home("a"), home("b")
    one.push(version := written(one))
    other.pull(version)
    bundle = other._registry.directory / version
    for name in ("price.npy", "extra", "manifest.json"):
        (bundle / name).write_bytes(b"damaged")
        with pytest.raises(BundleError):
            other._registry.load(version)
        assert other.pull(version) == version
        other._registry.load(version).warm()
    (bundle / "price.npy").write_bytes(b"damaged")
    away = SharedRegistry(Directory(tmp_path / "away"), other._registry)
    with pytest.raises(AwayError):
        away.pull(version)
    assert (bundle / "price.npy").read_bytes() == b"damaged"
    assert sorted(each.name for each in bundle.parent.iterdir()) == [version]


@in_a_directory
def test_what_is_brought_anew_is_there_all_the_while(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of the old one go last: who is killed meanwhile has the new; who cannot, the old."""
    one, other = home("a"), home("b")
    one.push(version := written(one))
    other.pull(version)
    bundle, rename, removed = other._registry.directory / version, Path.rename, []
    (bundle / "extra").touch()

    def refused(self: Path, target: Path) -> Path:
        if target == bundle and not (self / "extra").exists():
            raise OSError("refused")
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refused)
        with pytest.raises(BundleError, match="refused"):
            other.pull(version)
    assert (bundle / "extra").exists()
    assert [each.name for each in bundle.parent.iterdir()] == [version]

    def killed(path: Path, **_: object) -> None:
        removed.append(path)
        other._registry.load(version).warm()

    monkeypatch.setattr("models.directory.shutil.rmtree", killed)
    other.pull(version)
    assert [each for each in removed if (each / version / "extra").exists()]


@in_a_directory
def test_a_move_mends_what_is_damaged_in_the_home(home: Home) -> None:
    """What is urgent needs no pull before: the registry has it whole."""
    one, other = home("a"), home("b")
    first, second = (written(one, items) for items in (30, 31))
    one.promote(first)
    one.promote(second)
    other.follow()
    bundle = other._registry.directory / first
    (bundle / "price.npy").write_bytes(b"damaged")
    assert other.rollback() == first
    other._registry.load(first).warm()
    one.promote(second)
    other.follow()
    (bundle / "price.npy").write_bytes(b"damaged")
    one.follow()
    one.rollback()
    other.follow()
    assert local(other).production == first
    other._registry.load(first).warm()


def test_what_nobody_pushed_is_refused_for_what_is_wrong_with_it(
    home: Home, tmp_path: Path
) -> None:
    """A model that is here, and not signed, is not told as one that is not there."""
    _, public, _ = make_keys(tmp_path / "keys")
    careful = home("a", TrustedKeys.of_file(public))
    version = written(careful)
    with pytest.raises(BundleError, match="is not signed"):
        careful.promote(version)
    with pytest.raises(RegistryError, match="there is no model"):
        careful.promote("20200101T000000Z-00000000")


@in_a_directory
def test_a_trial_that_another_ended_ends_on_a_full_disk(home: Home) -> None:
    """Harm that one home sees is harm in all; what no record says is told once there is room."""
    one, other = home("a"), home("b")
    first, second = (written(one, items) for items in (30, 31))
    one.promote(first)
    canary = one.start_canary(rollout_in_force().begin(second))
    other.follow()
    one.move_canary(canary, None, "much harm")
    with no_room():
        other.follow()
    assert (local(other), other._registry.canary()) == (Aliases(first), None)
    assert other.follow() is not None
    assert [each.action for each in other._registry.history()] == ["follow", "found", "follow"]
    assert other.follow() is None


@in_a_directory
def test_a_newer_programs_bundle_is_not_pulled(home: Home, url: str, tmp_path: Path) -> None:
    """It is told as such, and not listed."""
    shared = home()
    version = "20991123T101500Z-0123abcd"
    newer = b'{"layout": %d, "surprise": 1}' % (LAYOUT + 1)
    replace_blob(url, f"manifests/{version}.json", newer, tmp_path)
    with pytest.raises(BundleError, match="written by a newer program, upgrade this"):
        shared.pull(version)
    assert shared.manifests() == []


def test_a_registry_that_is_away(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, slow or without such a bucket: told in a line, and the home is as it was."""
    registry = Registry(tmp_path)
    registry.promote(version := write_bundle(registry.directory, small_parts()))
    s3.bucket("slow")
    none = SharedRegistry(Bucket("s3://no-such-bucket/cuvee"), registry)
    with pytest.raises(AwayError, match=r"s3://no-such-bucket/cuvee: .*bucket"):
        none.push(version)
    monkeypatch.setattr(models.bucket, "_READ_S", 0.2)
    slow = SharedRegistry(Bucket("s3://slow/cuvee"), registry)
    with s3.stuck():
        for ask in (slow.follow, slow.aliases, lambda: slow.promote(version)):
            with pytest.raises(AwayError, match="s3://slow/cuvee: "):
                ask()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    away = SharedRegistry(Bucket("s3://away/cuvee"), registry)
    with pytest.raises(AwayError, match="s3://away/cuvee: "):
        away.follow()
    assert registry.aliases() == Aliases(version)
    assert [each.action for each in registry.history()] == ["promote"]


def with_old_blobs(one: SharedRegistry, url: str) -> str:
    """Push a model long ago, and return another of the home that has files in common with it."""
    old, new = (written(one, items) for items in (30, 31))
    one.push(old)
    for path in Path(url).rglob("blobs/sha256/*"):
        os.utime(path, (0, 0))
    return new


@in_a_directory
@pytest.mark.parametrize("before", ["manifests/", "blobs/"])
def test_what_goes_while_a_model_is_pushed_is_sent_again(
    home: Home, url: str, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """Old files that it shares with one that nobody needs are there, until `gc` takes them."""
    one, other = home("a"), home("b")
    new = with_old_blobs(one, url)
    upload = Directory.upload

    def overtaken(self: Directory, path: Path, name: str) -> None:
        if name.startswith(before):
            monkeypatch.setattr(Directory, "upload", upload)
            other.clear(0)
        upload(self, path, name)

    monkeypatch.setattr(Directory, "upload", overtaken)
    one.push(new)
    other.pull(new)
    other._registry.load(new).warm()


@in_a_directory
def test_blobs_are_removed_until_somebody_pushes(
    home: Home, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is pushed while they go may need those that are still there."""
    one, other = home("a"), home("b")
    new = with_old_blobs(one, url)
    remove = Directory.remove

    def pushing(self: Directory, name: str) -> None:
        remove(self, name)
        if name.startswith("blobs/"):
            monkeypatch.setattr(Directory, "remove", remove)
            one.push(new)

    monkeypatch.setattr(Directory, "remove", pushing)
    assert other.clear(0).blobs == 1
    other.pull(new)
    other._registry.load(new).warm()


@in_a_directory
@pytest.mark.parametrize("verb", ["promote", "set_candidate"])
def test_what_goes_before_it_is_named_is_sent_again(
    home: Home, url: str, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """A `gc` that begins once a model was pushed, and ends before an alias names it."""
    one, other = home("a"), home("b")
    one.promote(written(one, 30))
    new = with_old_blobs(one, url)
    create = Directory.create

    def overtaken(self: Directory, name: str, content: bytes) -> None:
        if self is one._storage:
            monkeypatch.setattr(Directory, "create", create)
            assert new in other.clear(0).versions
        create(self, name, content)

    monkeypatch.setattr(Directory, "create", overtaken)
    getattr(one, verb)(new)
    other.pull(new)
    other._registry.load(new).warm()


@in_a_directory
def test_what_is_named_while_it_goes_comes_back(
    home: Home, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A promotion between a look at the aliases and the removal of what they did not name."""
    one, other = home("a"), home("b")
    one.promote(written(one, 30))
    new = with_old_blobs(one, url)
    one.push(new)
    remove = Directory.remove

    def overtaken(self: Directory, name: str) -> None:
        if name == f"manifests/{new}.json":
            monkeypatch.setattr(Directory, "remove", remove)
            one.promote(new)
        remove(self, name)

    monkeypatch.setattr(Directory, "remove", overtaken)
    cleared = other.clear(0)
    assert (cleared.kept[new], new in cleared.versions) == ("production", False)
    other.follow()
    assert local(other).production == new
    assert new in {each.version for each in other.manifests()}


@in_a_directory
def test_what_goes_while_it_is_looked_at_is_not_there(
    home: Home, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry beside a `gc` is not away."""
    shared = home()
    first, second = written(shared, 30), written(shared, 31)
    shared.push(first)
    shared.push(second)
    read, stat = Directory.read, Path.stat

    def removed(self: Directory, name: str) -> bytes:
        storage(url).remove(f"manifests/{first}.json")
        return read(self, name)

    monkeypatch.setattr(Directory, "read", removed)
    assert [each.version for each in shared.manifests()] == [second]

    def gone(self: Path, **told: bool) -> os.stat_result:
        if self.name == f"{second}.json":
            self.unlink(missing_ok=True)
        return stat(self, **told)

    monkeypatch.setattr(Path, "stat", gone)
    assert shared.manifests() == []


def test_an_answer_that_breaks_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a connection ends within an object, the registry is away, too."""

    class Broken(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(b"{")
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        for name, value in {**VARIABLES, "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(name, value)
        bucket = Bucket("s3://bucket/cuvee")
        with pytest.raises(OSError, match="not completed"):
            bucket.read("history/00000001.json")
        with pytest.raises(OSError, match="not completed"):
            bucket.download("blobs/sha256/00", tmp_path / "blob")
        server.shutdown()


def test_a_bucket_that_answers_nothing_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked is told, and may ask again: one try is as long as anybody should wait."""
    registry = Registry(tmp_path)
    version = write_bundle(registry.directory, small_parts(personal=False))
    monkeypatch.setattr(models.bucket, "_READ_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for name, value in {**VARIABLES, "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(AwayError, match="nothing was changed"):
            SharedRegistry(Bucket("s3://silent/cuvee"), registry).promote(version)
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert registry.production() is None


@in_a_directory
def test_who_moved_while_it_went_away_is_told_what_became_of_it(
    home: Home, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not known where the record's answer was lost; moved where only this home does not follow."""
    shared, kind = home(), type(storage(url))
    first, second = written(shared, 30), written(shared, 31)

    def lost(*_: object) -> None:
        raise TimeoutError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(kind, "create", lost)
        with pytest.raises(AwayError, match=r"no answer; .* tells whether it was moved"):
            shared.promote(first)
    shared.promote(first)
    create = kind.create

    def last(self: Storage, name: str, content: bytes) -> None:
        create(self, name, content)
        patch.setattr(kind, "read", lost)

    with monkeypatch.context() as patch:
        patch.setattr(kind, "create", last)
        with pytest.raises(AwayError, match=r"no answer; it is moved in .*, and this home follows"):
            shared.promote(second)
    assert (shared.aliases().production, local(shared).production) == (second, first)


def test_a_store_without_conditional_writes_is_refused(s3: S3, tmp_path: Path) -> None:
    """Where the header is ignored nothing is moved: two could win at once."""
    s3.bucket("careless")
    bucket, registry = Bucket("s3://careless/cuvee"), Registry(tmp_path)
    write = bucket._fs.pipe_file
    bucket._fs.pipe_file = lambda path, content, **_: write(path, content)
    with pytest.raises(AwayError, match="ignores If-None-Match"):
        SharedRegistry(bucket, registry).promote(
            write_bundle(registry.directory, small_parts(personal=False))
        )
    assert (registry.production(), SharedRegistry(bucket, registry).aliases()) == (None, Aliases())


@in_a_directory
def test_a_full_disk_at_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is not half there, and what serves serves on."""
    one, other = home("a"), home("b")
    first, second = written(one, 30), written(one, 31)
    one.promote(first)
    other.follow()
    one.promote(second)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises((RegistryError, BundleError), match="No space left on device"):
            other.follow()
    assert local(other) == Aliases(first)
    assert [each.version for each in other._registry.manifests()] == [first]
    other.follow()
    assert local(other) == Aliases(second, first)


@in_a_directory
def test_what_was_followed_in_part_is_followed_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever write is the last before the disk is full or the process killed."""
    one, other = home("a"), home("b")
    first, second = written(one, 30), written(one, 31)
    one.promote(first)
    one.push(second)
    other.follow()
    other.pull(second)
    fsync, left = os.fsync, 0

    def ends(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        fsync(descriptor)

    for writes in range(1_000):
        left = writes
        one.promote(first if one.aliases().production == second else second)
        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(os, "fsync", ends)
            other.follow()
        other.follow()
        assert local(other) == one.aliases()
        assert next(other._registry.history()).aliases == one.aliases()
        if left >= 0:
            return


@in_a_directory
def test_an_older_record_is_not_followed_after_a_newer(home: Home) -> None:
    """Two that follow at once, one of them slow: the home does not go back."""
    one, other = home("a"), home("b")
    first, second = written(one, 30), written(one, 31)
    one.promote(first)
    one.promote(second)
    other.follow()
    older = list(one.history())[-1]
    other.pull(first)
    other._registry.adopt(older, str(other))
    assert local(other) == Aliases(second, first)
    assert [each.action for each in other._registry.history()] == ["follow"]


@in_a_directory
def test_a_home_that_moved_on_its_own_follows_the_next_move(home: Home) -> None:
    """A rollback here while the registry is away stands until somebody moves an alias there."""
    one, other = home("a"), home("b")
    first, second, third = (written(one, items) for items in (30, 31, 32))
    one.promote(first)
    one.promote(second)
    other.follow()
    other._registry.rollback("the registry is away")
    assert other.follow() is None
    assert local(other) == Aliases(first, second)
    one.promote(third)
    other.follow()
    assert local(other) == Aliases(third, second)


@in_a_directory
def test_a_home_that_moved_on_its_own_is_brought_back_by_a_promotion(home: Home) -> None:
    """Of what serves in the registry already: there is no move to follow."""
    one, other = home("a"), home("b")
    first, second = written(one, 30), written(one, 31)
    one.promote(first)
    one.promote(second)
    other.follow()
    other._registry.rollback("the registry is away")
    assert other.promote(second, "it is back") == second
    assert local(other) == other.aliases() == Aliases(second, first)
    assert next(other._registry.history()).why.endswith(": it is back")
    assert len(list(other.history())) == 2


@in_a_directory
def test_a_home_that_is_brought_back_tries_what_others_try(home: Home) -> None:
    """All that the registry names, not what serves alone."""
    one, other = home("a"), home("b")
    first, second, third = (written(one, items) for items in (30, 31, 32))
    one.promote(first)
    one.promote(second)
    one.push(third)
    other.pull(third)
    one.start_canary(rollout_in_force().begin(third, by_hand=True))
    other.follow()
    other._registry.promote(third, "here alone")
    other.promote(second)
    assert local(other) == other.aliases() == one.aliases()


@in_a_directory
def test_a_home_is_not_brought_back_to_what_serves_no_more(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the model was tried another home promoted one of its own."""
    one, other = home("a"), home("b")
    first, second = written(one, 30), written(one, 31)
    one.promote(first)
    other.follow()
    warm = Model.warm

    def overtaken(_: Model) -> None:
        monkeypatch.setattr(Model, "warm", warm)
        one.promote(second)

    monkeypatch.setattr(Model, "warm", overtaken)
    with pytest.raises(ConflictError, match=f"production is {second}"):
        other.promote(first)
    assert local(other) == other.aliases() == Aliases(second, first)


@in_a_directory
def test_a_home_that_a_full_disk_keeps_from_coming_back_is_behind(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no conflict: nobody was quicker."""
    one = home("a")
    first, second = written(one, 30), written(one, 31)
    one.promote(first)
    one.promote(second)
    one._registry.rollback("the registry is away")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BehindError, match="No space left on device; it serves in"):
        one.promote(second)


# What is removed


def test_old_bundles_and_loose_blobs_are_removed(
    home: Home, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those with an alias stay, and blobs that may be of a push that is under way."""
    shared = home()
    versions = sorted(written(shared, items) for items in (30, 31, 32, 33))
    shared.promote(versions[0])
    for version in versions[1:]:
        shared.push(version)
    blobs = storage(url).entries("blobs/sha256").keys()
    assert shared.clear(1, dry_run=True).versions == (versions[2], versions[1])
    assert shared.clear(2).blobs == 0
    later = time.time() + YOUNG_S + 60
    monkeypatch.setattr("models.leftovers.time.time", lambda: later)
    cleared = shared.clear(1)
    assert (cleared.versions, cleared.kept) == ((versions[2],), {versions[0]: "production"})
    assert cleared.blobs > 0
    left = storage(url).entries("blobs/sha256").keys()
    needed = {told.sha256 for each in shared.manifests() for told in each.files.values()}
    assert left == needed < blobs
    home("b").pull(versions[3])


@in_a_directory
def test_a_bundle_with_a_newer_programs_file_stays(
    home: Home, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all blobs: what this program would call loose may be the newer one's."""
    shared = home()
    version = written(shared)
    shared.push(version)
    newer = forge(shared._registry.directory / version, "future.npy", b"")
    manifest = (newer / "manifest.json").read_bytes()
    replace_blob(url, f"manifests/{newer.name}.json", manifest, tmp_path)
    later = time.time() + YOUNG_S + 60
    monkeypatch.setattr("models.leftovers.time.time", lambda: later)
    assert (shared.clear(0).versions, shared.clear(0).blobs) == ((version,), 0)
    assert f"{newer.name}.json" in storage(url).entries("manifests")


@in_a_directory
def test_blobs_of_a_newer_programs_bundles_stay(
    home: Home, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be read may need any blob."""
    shared = home()
    replace_blob(url, "manifests/20991123T101500Z-0123abcd.json", b'{"layout": 9}', tmp_path)
    replace_blob(url, f"blobs/sha256/{'0' * 64}", b"of a newer one", tmp_path)
    later = time.time() + YOUNG_S + 60
    monkeypatch.setattr("models.leftovers.time.time", lambda: later)
    assert shared.clear(0).blobs == 0
    assert len(storage(url).entries("blobs/sha256")) == 1


# A model on trial


def test_homes_tell_each_other_what_they_counted(home: Home) -> None:
    """Through a directory as through a bucket; each adds what the other told last to its own."""
    one, other = home("a"), home("b")
    first, second = written(one, 30), written(one, 31)
    one.promote(first)
    canary = Canary.begun(second, 1, 0.5, automatic=True)
    one.start_canary(canary)
    other.follow()
    homes = [each._registry.directory.parent for each in (one, other)]
    for shared, path in zip((one, other), homes, strict=True):
        CanaryCounter(path, canary).add(CONTROL, 1, REQUESTS, 7)
        shared.exchange_counts()
    one.exchange_counts()
    for path in homes:
        counts = read_counts(path, canary)
        assert (counts.homes, counts.total(CONTROL, REQUESTS)) == (2, 14)


@in_a_directory
def test_a_full_disk_of_the_registry(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever write fails there, a promotion is made or not, and can be made again."""
    one = home()
    first, second = written(one, 30), written(one, 31)
    one.promote(first)
    fsync, left = os.fsync, [0]

    def full(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    for writes in range(1_000):
        left[0] = writes
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            try:
                one.promote(second)
            except (RegistryError, BundleError) as error:
                assert "No space left on device" in str(error)  # noqa: PT017 - it may not be raised
        production = one.aliases().production
        assert production in {first, second}
        assert local(one).production in {first, production}
        if left[0] >= 0:
            break
    assert (one.aliases(), local(one)) == (Aliases(second, first),) * 2
