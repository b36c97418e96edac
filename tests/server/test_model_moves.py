"""Promotions over HTTP: recorded, in the registry that homes share, and only of what is signed."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from features.errors import InputError
from features.online.embedded import EmbeddedValkey
from models.bundle import sign_bundle, write_bundle
from models.registry import Registry
from models.shared_registry import SharedRegistry
from models.signature import SigningKey, make_keys
from models.storage import Directory
from server.app import build_app
from server.settings import Settings
from tests.support.bundles import small_parts
from tests.support.s3 import S3, s3
from tests.support.service import Start, home, start

__all__ = ["home", "s3", "start"]

ADMIN = {"Authorization": "Bearer secret"}


@pytest.fixture
def redis_url(valkey: EmbeddedValkey) -> str:
    """Return one store: nothing of a promotion is in it."""
    return valkey.url


async def post(client: Any, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
    """Post to an admin route, with a body if there is one."""
    answer = await client.post(path, headers=ADMIN, json=body)
    return answer.status, await answer.json(content_type=None)


async def test_a_promotion_over_http_leaves_a_record(start: Start, home: Path) -> None:
    """Who asked, and by which request."""
    registry = Registry(home)
    second = write_bundle(registry.directory, small_parts(31))
    assert (await post(await start(), f"/v1/models/{second}/promote"))[0] == 200
    newest = next(registry.history())
    assert (newest.action, newest.who) == ("promote", "admin at 127.0.0.1")
    assert newest.why == f"POST /v1/models/{second}/promote"


@pytest.mark.parametrize("is_shared", [False, True])
async def test_the_reason_is_recorded(
    start: Start, home: Path, tmp_path: Path, is_shared: bool
) -> None:
    """As the commands' is, here and where homes share a registry."""
    registry, where = Registry(home), tmp_path / "shared"
    shared = SharedRegistry(Directory(where), registry)
    second = write_bundle(registry.directory, small_parts(31))
    if is_shared:
        shared.promote(str(registry.production()))
    client = await start(**({"CUVEE_REGISTRY": str(where)} if is_shared else {}))
    path, why = f"/v1/models/{second}/promote", {"why": "--clicks rose, says Zoë"}
    assert (await post(client, path, why))[0] == 200
    assert (await post(client, "/v1/models/rollback", {"why": "they fell"}))[0] == 200
    assert (await post(client, path, {"how": "canary", "why": "again"}))[0] == 200
    assert (await post(client, "/v1/models/canary/advance", {"why": "well"}))[0] == 200
    assert (await post(client, "/v1/models/canary/stop", {"why": "enough"}))[0] == 200
    history = list((shared if is_shared else registry).history())
    moves = [(each.action, each.why) for each in reversed(history[:5])]
    assert moves == [
        ("promote", "--clicks rose, says Zoë"),
        ("rollback", "they fell"),
        ("canary", "again"),
        ("canary", "well"),
        ("stop", "enough"),
    ]


@pytest.mark.parametrize("is_shared", [False, True])
async def test_what_is_meant_for_something_else_is_refused(
    start: Start, home: Path, tmp_path: Path, is_shared: bool
) -> None:
    """Asked twice, since no answer came, a rollback is made once, and so is a step."""
    registry, where = Registry(home), tmp_path / "shared"
    first, second = registry.production(), write_bundle(registry.directory, small_parts(31))
    if is_shared:
        SharedRegistry(Directory(where), registry).promote(str(first))
    client = await start(**({"CUVEE_REGISTRY": str(where)} if is_shared else {}))
    assert (await post(client, f"/v1/models/{second}/promote"))[0] == 200
    meant = {"serves": second}
    assert (await post(client, "/v1/models/rollback", meant))[1]["production"] == first
    status, told = await post(client, "/v1/models/rollback", meant)
    assert (status, f"production is {first}" in told["detail"]) == (409, True)
    assert (registry.production(), registry.previous()) == (first, second)
    await post(client, f"/v1/models/{second}/promote", {"how": "canary"})
    _, told = await post(client, "/v1/models/canary/advance")
    step = {"step": told["canary"]["key"]}
    _, told = await post(client, "/v1/models/canary/advance", step)
    for path in ("advance", "stop"):
        status, refused = await post(client, f"/v1/models/canary/{path}", step)
        expected = f"step {step['step']} is over; {told['canary']['key']} is on trial"
        assert (status, refused["detail"]) == (409, expected)
    step = {"step": told["canary"]["key"]}
    assert (await post(client, "/v1/models/canary/stop", step))[0] == 200
    status, refused = await post(client, "/v1/models/canary/stop", step)
    assert (status, refused["detail"].endswith("; no model is on trial")) == (409, True)
    for path, wrong in (
        ("rollback", {"serves": 7}),
        ("rollback", {"serves": "production"}),
        ("canary/advance", {"step": ""}),
    ):
        status, refused = await post(client, f"/v1/models/{path}", wrong)
        assert (status, refused["errors"][0]["field"]) == (422, next(iter(wrong)))


@pytest.mark.parametrize("path", ["VERSION/promote", "rollback", "canary/advance", "canary/stop"])
async def test_what_is_no_move_is_refused(start: Start, home: Path, path: str) -> None:
    """The field is named, and nothing is moved, by all of them alike."""
    registry = Registry(home)
    before = list(registry.history())
    client, path = await start(), path.replace("VERSION", str(registry.production()))
    wrongs: list[object] = [{"why": each} for each in ("", 7, "two\nlines", "x" * 401)]
    for wrong in (*wrongs, {"reason": "it is better"}, ["why"]):
        status, told = await post(client, f"/v1/models/{path}", wrong)
        named = next(iter(wrong)) if isinstance(wrong, dict) else "body"
        assert (status, told["errors"][0]["field"]) == (422, named)
    assert list(registry.history()) == before


async def test_aliases_are_moved_in_the_shared_registry(
    start: Start, home: Path, tmp_path: Path
) -> None:
    """A promotion is pushed and moved there; what it refuses is told, and the old one serves."""
    where = tmp_path / "shared"
    registry = Registry(home)
    shared = SharedRegistry(Directory(where), registry)
    first, second = registry.production(), write_bundle(registry.directory, small_parts(31))
    shared.promote(str(first))
    client = await start(CUVEE_REGISTRY=str(where))
    status, told = await post(client, f"/v1/models/{second}/promote")
    assert (status, told["serving"], told["previous"]) == (200, second, first)
    assert shared.aliases() == registry.aliases()
    assert next(shared.history()).who == "admin at 127.0.0.1"
    status, told = await post(client, "/v1/models/rollback")
    assert (status, told["serving"]) == (200, first)
    assert next(shared.history()).action == "rollback"
    (registry.directory / second / "price.npy").write_bytes(b"")
    status, told = await post(client, f"/v1/models/{second}/promote")
    assert (status, "price.npy: expected" in told["detail"]) == (409, True)
    assert shared.aliases().production == registry.production() == first


async def test_a_home_that_cannot_follow_its_own_move_is_no_conflict(
    start: Start, home: Path, tmp_path: Path
) -> None:
    """What is moved for all homes is told as that, though the disk of this one refuses."""
    registry, where = Registry(home), tmp_path / "shared"
    shared = SharedRegistry(Directory(where), registry)
    first, second = registry.production(), write_bundle(registry.directory, small_parts(31))
    shared.promote(str(first))
    client = await start(CUVEE_REGISTRY=str(where))
    lock = home / "models" / "aliases" / ".lock"
    lock.unlink()
    lock.mkdir()
    status, told = await post(client, f"/v1/models/{second}/promote")
    assert (status, f"; it is moved in {where}, and this home" in told["detail"]) == (503, True)
    assert (shared.aliases().production, registry.production()) == (second, first)
    lock.rmdir()
    assert (await post(client, f"/v1/models/{second}/promote"))[1]["serving"] == second


@pytest.mark.parametrize("code", [-9, 1])
async def test_a_command_that_dies_is_no_conflict(
    start: Start, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Killed for want of memory, say: nobody knows whether the model was moved."""
    registry = Registry(home)
    second = write_bundle(registry.directory, small_parts(31))
    client = await start(CUVEE_REGISTRY=str(tmp_path / "shared"))
    died = subprocess.CompletedProcess((), code, "", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: died)
    status, told = await post(client, f"/v1/models/{second}/promote")
    assert (status, f"promote ended with {code}; " in told["detail"]) == (503, True)


async def ask_one_that_is_away(client: Any, path: str, body: object = None) -> None:
    """Post to an admin route, and find that the registry is away and nothing was changed."""
    answer = await client.post(path, headers=ADMIN, json=body)
    told = (await answer.json(content_type=None))["detail"]
    assert (answer.status, int(answer.headers["Retry-After"]) > 0) == (503, True)
    assert told.startswith("the shared registry does not answer as it should: s3://away/models: ")
    assert told.endswith("; nothing was changed")


@pytest.mark.usefixtures("s3")
async def test_a_bucket_that_is_not_there_is_no_conflict(
    start: Start, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be later: what was asked can be asked again."""
    registry = Registry(home)
    second = write_bundle(registry.directory, small_parts(31))
    before = registry.aliases()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    client = await start(CUVEE_REGISTRY="s3://away/models")
    await ask_one_that_is_away(client, f"/v1/models/{second}/promote")
    await ask_one_that_is_away(client, f"/v1/models/{second}/promote", {"how": "canary"})
    await ask_one_that_is_away(client, "/v1/models/rollback")
    assert registry.aliases() == before


@pytest.mark.slow
async def test_a_bucket_that_hangs_is_no_conflict(start: Start, home: Path, s3: S3) -> None:
    """It takes connections and answers nothing."""
    registry = Registry(home)
    second = write_bundle(registry.directory, small_parts(31))
    before = registry.aliases()
    client = await start(CUVEE_REGISTRY="s3://away/models")
    with s3.stuck():
        await ask_one_that_is_away(client, f"/v1/models/{second}/promote")
    assert registry.aliases() == before


async def test_what_is_not_signed_does_not_serve(start: Start, home: Path, tmp_path: Path) -> None:
    """With a key set an unsigned model is as none, until it is signed."""
    private, public, _ = make_keys(tmp_path / "keys")
    client = await start(CUVEE_MODEL_PUBLIC_KEY=str(public))
    assert (await client.get("/readyz")).status == 503
    registry = Registry(home)
    version = str(registry.production())
    sign_bundle(registry.directory / version, SigningKey.of_file(private))
    signed = await start(CUVEE_MODEL_PUBLIC_KEY=str(public))
    assert (await signed.get("/readyz")).status == 200
    unsigned = write_bundle(registry.directory, small_parts(31))
    status, told = await post(signed, f"/v1/models/{unsigned}/promote")
    assert (status, "is not signed" in told["detail"]) == (409, True)


def test_a_key_that_is_none_is_the_users_to_mend(tmp_path: Path) -> None:
    """The service does not start without the key that it was told to ask for."""
    environment = {"CUVEE_HOME": str(tmp_path), "CUVEE_MODEL_PUBLIC_KEY": str(tmp_path / "none")}
    with pytest.raises(InputError, match=r"CUVEE_MODEL_PUBLIC_KEY: .*No such file"):
        build_app(Settings.from_environment(environment))
