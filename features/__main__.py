"""`python -m features VERB`: bring data in, look at it, bring it online."""

from importlib import import_module

import click

from features.errors import FeaturesError

COMMANDS = {
    "ingest": ("features.ingest_command:ingest_command", "Take your own files in."),
    "simulate": ("features.simulate:simulate_command", "Make the demo wine shop."),
    "show": ("features.show:show_command", "Show what is stored."),
    "shoppers": ("features.shoppers:shoppers_command", "List who is most active."),
    "tidy": ("features.show:tidy_command", "Merge small files, drop what no version needs."),
    "materialize": ("features.materialize:materialize_command", "Bring the store online."),
    "consume": ("features.consumer:consume_command", "Carry online events into the store."),
}
"""Verb → where its command lives, and what it does. Only the verb that runs is imported."""


class Verbs(click.Group):
    """The room's verbs, each imported when it is called; mistakes end with 2, not a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's)
        """Return the verbs."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command of a verb."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        try:
            command: click.Command = getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("features"):
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
            formatter.write_dl([(verb, about) for verb, (_, about) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb; say in one line what was wrong with the input or the store."""
        try:
            return super().invoke(ctx)
        except FeaturesError as error:
            click.echo(f"error: {error}", err=True)
            raise SystemExit(2) from None


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Bring data in, look at it, bring it online.

    Everything lives under the directory that CUVEE_HOME names (default: var).
    """


if __name__ == "__main__":
    cli(prog_name="python -m features")
