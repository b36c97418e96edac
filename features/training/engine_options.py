"""`--engine` and `--master`: the options of every command that may compute on Spark."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from features.training.engine import ENGINES, engine_named


def engine_options(
    command: Callable[..., None], named: Callable[[str, str | None], object] = engine_named
) -> Callable[..., None]:
    """Give `command` the two options; it takes what they name, by `named`, as `engine`."""

    @click.option(
        "--engine", type=click.Choice(ENGINES), default="local", help="Where it is computed."
    )
    @click.option("--master", help="Spark's master: local[2], spark://HOST:7077, yarn, k8s://…")
    @wraps(command)
    def chosen(*, engine: str, master: str | None, **options: Any) -> None:  # noqa: ANN401
        if master is not None and engine != "spark":
            raise click.UsageError("--master says where Spark runs: add --engine spark")
        command(engine=named(engine, master), **options)

    return chosen
