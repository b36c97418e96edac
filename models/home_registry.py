"""The registry of this machine's home, as the environment says; docs/settings.md explains each."""

import os
from pathlib import Path

from features.home import home_directory
from models.registry import Registry
from models.signature import PRIVATE_KEY, PUBLIC_KEY, SigningKey, TrustedKeys


def home_registry() -> Registry:
    """Return the registry of `CUVEE_HOME`; with `CUVEE_MODEL_PUBLIC_KEY` it believes no other."""
    return Registry(home_directory(), trusted_keys())


def trusted_keys() -> TrustedKeys | None:
    """Return the keys that `CUVEE_MODEL_PUBLIC_KEY` names; raise `InputError` if it holds none."""
    path = os.environ.get(PUBLIC_KEY)
    return TrustedKeys.of_file(Path(path)) if path else None


def signing_key() -> SigningKey | None:
    """Return the key that `CUVEE_MODEL_PRIVATE_KEY` names; raise `InputError` if it is none."""
    path = os.environ.get(PRIVATE_KEY)
    return SigningKey.of_file(Path(path)) if path else None
