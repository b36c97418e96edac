"""`python -m models keygen` and `sign`: who may make models that serve."""

from pathlib import Path

import click

from features.errors import InputError
from models.bundle import sign_bundle
from models.home_registry import home_registry, signing_key
from models.signature import PRIVATE_KEY, PUBLIC_KEY, make_keys


@click.command("keygen")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def keygen_command(directory: Path) -> None:
    """Make a pair of Ed25519 keys in DIRECTORY: one signs models, the other tells they are signed.

    The private key is for whoever trains and never for what serves.
    """
    private, public, key = make_keys(directory)
    click.echo(f"key {key}\n{PRIVATE_KEY}={private}\n{PUBLIC_KEY}={public}")


@click.command("sign")
@click.argument("model")
def sign_command(model: str) -> None:
    """Sign MODEL, a version or an alias, with the key that CUVEE_MODEL_PRIVATE_KEY names."""
    key = signing_key()
    if key is None:
        raise InputError(f"{PRIVATE_KEY}: expected a file with a private key, got nothing")
    registry = home_registry()
    version = registry.resolve(model)
    sign_bundle(registry.directory / version, key)
    click.echo(f"{version} is signed with key {key.id}")
