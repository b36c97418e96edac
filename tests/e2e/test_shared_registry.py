"""Services that share a registry in a bucket: they follow it, and go on without it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from features.online.embedded import EmbeddedValkey
from models.bucket import Bucket
from models.bundle import write_bundle
from models.registry import Registry
from models.shared_registry import SharedRegistry
from tests.support.bundles import small_parts
from tests.support.process import PATIENCE_S, ROOT, Service
from tests.support.s3 import S3, s3

__all__ = ["s3"]

URL = "s3://shop/models"


def until_serves(service: Service, version: str) -> None:
    """Wait until a service answers with a model."""
    deadline = time.monotonic() + PATIENCE_S
    while service.ask("u1")["model_version"] != version:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_a_service_follows_the_bucket_and_goes_on_without_it(
    home: Path, tmp_path_factory: pytest.TempPathFactory, s3: S3, valkey: EmbeddedValkey
) -> None:
    """What another home promotes serves here; a bucket that hangs costs no answer."""
    s3.bucket("shop")
    elsewhere = Registry(tmp_path_factory.mktemp("elsewhere"))
    shared = SharedRegistry(Bucket(URL), elsewhere)
    with Service(home, CUVEE_REGISTRY=URL, CUVEE_REDIS_URL=valkey.url) as service:
        first = service.ask("u1")["model_version"]
        second = shared.promote(write_bundle(elsewhere.directory, small_parts(31)))
        assert first != second
        until_serves(service, second)
        with s3.stuck():
            assert {service.ask("u1")["model_version"] for _ in range(20)} == {second}
    newest = next(Registry(home).history())
    assert (newest.action, newest.who, newest.followed) == ("follow", URL, f"{URL}#1")


def test_a_follower_waits_for_what_is_away_and_ends_when_told(
    home: Path, tmp_path_factory: pytest.TempPathFactory, s3: S3
) -> None:
    """It says once what is wrong each time it looks, and follows when it can."""
    elsewhere = Registry(tmp_path_factory.mktemp("elsewhere"))
    version = write_bundle(elsewhere.directory, small_parts(32))
    url = "s3://late/models"
    command = [sys.executable, "-m", "models", "follow", "--every", "0.1"]
    environment = {**os.environ, "CUVEE_HOME": str(home), "CUVEE_REGISTRY": url}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as follower:
        s3.bucket("late")
        SharedRegistry(Bucket(url), elsewhere).promote(version)
        assert follower.stderr is not None
        told = follower.stderr.readline()
        while "followed" not in told:
            told = follower.stderr.readline()
        assert told == f"INFO models.follow followed record 1: production is {version}\n"
        assert Registry(home).production() == version
        SharedRegistry(Bucket(url), elsewhere).promote(damaged(elsewhere, url))
        while "not followed" not in told:
            told = follower.stderr.readline()
        assert "is damaged in s3://late/models" in told
        follower.terminate()
        follower.communicate()
    assert follower.returncode == 0
    assert Registry(home).production() == version


def damaged(registry: Registry, url: str) -> str:
    """Push a bundle and damage its prices there."""
    version = write_bundle(registry.directory, small_parts(33))
    SharedRegistry(Bucket(url), registry).push(version)
    told = registry.manifest(version).files["price.npy"]
    other = registry.directory.parent / "other"
    other.write_bytes(b"x" * told.size)
    Bucket(url).upload(other, f"blobs/sha256/{told.sha256}")
    return version
