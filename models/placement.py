"""Where a new model goes that does not serve (yet): it waits as `candidate`."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from models.errors import AwayError
from models.registry import Registry


@contextmanager
def waits_here_if_away(
    registry: Registry, version: str, why: str, who: str | None = None
) -> Iterator[None]:
    """Name a model the candidate of this home where the block finds the shared registry away."""
    try:
        yield
    except AwayError as error:
        click.echo(f"warning: {error}; the model waits here", err=True)
        registry.set_candidate(version, why, who)
