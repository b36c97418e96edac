"""The registry of this machine's home, as the environment says; docs/settings.md explains each."""

import os
from importlib.util import find_spec
from pathlib import Path

from features.errors import InputError
from features.home import home_directory
from models.registry import Registry
from models.shared_registry import SharedRegistry
from models.signature import PRIVATE_KEY, PUBLIC_KEY, SigningKey, TrustedKeys
from models.storage import Directory, Storage

SHARED = "CUVEE_REGISTRY"
S3 = "s3://"


def home_registry() -> Registry:
    """Return the registry of `CUVEE_HOME`; with `CUVEE_MODEL_PUBLIC_KEY` it believes no other."""
    return Registry(home_directory(), trusted_keys())


def shared_registry(registry: Registry) -> SharedRegistry | None:
    """Return the registry that `CUVEE_REGISTRY` names, which `registry` shares with others.

    Raises `InputError` where it is neither a directory nor an `s3://` URL.
    """
    told = os.environ.get(SHARED)
    return SharedRegistry(_storage(told), registry) if told else None


def required_shared_registry(registry: Registry) -> SharedRegistry:
    """Return the registry that `CUVEE_REGISTRY` names; raise `InputError` where it names none."""
    shared = shared_registry(registry)
    if shared is None:
        raise InputError(f"{SHARED}: expected s3://BUCKET/PREFIX or a directory, got nothing")
    return shared


def _storage(told: str) -> Storage:
    if not told.startswith(S3):
        if "://" in told:
            raise InputError(f"{SHARED}: expected s3://BUCKET/PREFIX or a directory, got {told!r}")
        return Directory(Path(told))
    if find_spec("s3fs") is None:
        raise InputError(f"{SHARED}: {S3} needs s3fs: pip install 'cuvee[s3]'")
    from models.bucket import Bucket  # noqa: PLC0415 - 0.3 s, for those who have one

    return Bucket(told)


def trusted_keys() -> TrustedKeys | None:
    """Return the keys that `CUVEE_MODEL_PUBLIC_KEY` names; raise `InputError` if it holds none."""
    path = os.environ.get(PUBLIC_KEY)
    return TrustedKeys.of_file(Path(path)) if path else None


def signing_key(trusted: TrustedKeys | None = None) -> SigningKey | None:
    """Return the key that `CUVEE_MODEL_PRIVATE_KEY` names; raise `InputError` if it is none.

    Likewise where there are `trusted` keys and it is none of them, or there is none: what would
    be made could not be loaded.
    """
    path = os.environ.get(PRIVATE_KEY)
    key = SigningKey.of_file(Path(path)) if path else None
    if trusted is not None and (key is None or not trusted.has(key)):
        got = "nothing" if key is None else f"key {key.id}"
        told = f"expected a file with a private key that {PUBLIC_KEY} trusts, got {got}"
        raise InputError(f"{PRIVATE_KEY}: {told}; nothing was made")
    return key
