"""A room's door: verbs that are imported when they are called, and mistakes without tracebacks."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from features.errors import FeaturesError


class Verbs(click.Group):
    """A group of commands named by where they live.

    `verbs` maps each verb to (`module:command`, what it does); `room` is the package that an
    import error must not be blamed on.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 (click's)
        room: str = "",
        verbs: Mapping[str, tuple[str, str]] | None = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        """Import nothing yet."""
        super().__init__(*args, **options)
        self._room = room
        self._verbs = verbs or {}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's)
        """Return the verbs."""
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command of a verb."""
        if cmd_name not in self._verbs:
            return None
        module, _, attribute = self._verbs[cmd_name][0].partition(":")
        try:
            command: click.Command = getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith((self._room, "features")):
                raise
            needed = f"{cmd_name} needs {error.name}: pip install 'cuvee[train]'"
            raise click.UsageError(needed, ctx) from None
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 (click's)
        formatter: click.HelpFormatter,
    ) -> None:
        """List the verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, about) for verb, (_, about) in self._verbs.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb; say in one line what was wrong with the input or the store."""
        try:
            return super().invoke(ctx)
        except FeaturesError as error:
            click.echo(f"error: {error}", err=True)
            raise SystemExit(error.exit_code) from None
        except BrokenPipeError:  # whoever reads has read enough, as `head` does
            raise
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            click.echo(f"error: {where}{error.strerror or error}", err=True)
            raise SystemExit(2) from None
