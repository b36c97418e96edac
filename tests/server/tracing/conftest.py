"""Fixtures of a service that is traced."""

import os

import pytest

from features.online.embedded import EmbeddedValkey
from tests.support.service import home, start

__all__ = ["home", "start"]


@pytest.fixture
def redis_url(valkey: EmbeddedValkey) -> str:
    """Return the url of one empty store: which one it is says nothing of traces."""
    return valkey.url


@pytest.fixture(autouse=True)
def _nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
