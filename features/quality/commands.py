"""`python -m features quality`: check the tables, look at what is held back, decide on it."""

import sys
from pathlib import Path

import click

from features.home import home_directory
from features.quality import refusals
from features.quality.gatekeeper import Gatekeeper
from features.quality.page import as_html
from features.quality.quarantine import TABLES, Quarantine
from features.quality.report import as_text
from features.quality.rules import rules_in_force
from features.whole_file import replace_file


@click.group("quality", context_settings={"help_option_names": ["-h", "--help"]})
def quality_command() -> None:
    """Rules of what good data are like: for files that come in, and tables that go online.

    The rules are those of the file that CUVEE_QUALITY names, or the default ones.
    """


@quality_command.command("rules")
def rules_command() -> None:
    """Print the rules in force: a start for a file of your own."""
    click.echo(rules_in_force().source, nl=False)


@quality_command.command("check", short_help="Check the tables as they are now.")
@click.option(
    "--rules",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A YAML file, instead of CUVEE_QUALITY.",
)
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Write the report into it."
)
@click.option("--all", "everything", is_flag=True, help="Also what is as expected.")
def check_command(rules: Path | None, html: Path | None, everything: bool) -> None:
    """Check the tables as they are now, by the rules for what is brought online.

    Ends with 1 where a rule is broken. The baseline stays as it is.
    """
    told = Gatekeeper(home_directory(), rules_in_force(rules)).judged_tables()
    if html is not None:
        replace_file(html, as_html(told.report))
    shown = [each for each in told.report.findings if everything or each.passed is False]
    if shown:
        click.echo(as_text(shown))
    click.echo(f"{len(told.report.violations)} of {len(told.report.findings)} violated")
    sys.exit(bool(told.report.violations))


@quality_command.command("list")
def list_command() -> None:
    """List what is held back."""
    held = Quarantine(home_directory()).all()
    if not held:
        click.echo("nothing is held back")
    for each in held:
        about = f"violations: {len(each.report.violations)}"
        click.echo(f"{each.id}  {each.report.created}  {about}  {each.report.source}")


@quality_command.command("show")
@click.argument("held_id", metavar="ID")
def show_command(held_id: str) -> None:
    """Show why something is held back."""
    held = Quarantine(home_directory()).get(held_id)
    click.echo(as_text(held.report.findings))
    if held.report.refused:
        click.echo(refusals.as_text(held.report.refused))
    click.echo(f"the report: {held.page}")


@quality_command.command("release")
@click.argument("held_id", metavar="ID")
@click.option("--dry-run", is_flag=True, help="Only tell what it would do to the tables.")
def release_command(held_id: str, dry_run: bool) -> None:
    """Take what is held back for good: later data are compared with it. It cannot be undone."""
    gatekeeper = Gatekeeper(home_directory(), rules_in_force())
    effects = gatekeeper.effects(held_id) if dry_run else gatekeeper.release(held_id)
    for table, told in effects.items():
        changed = f", {told.changed:,} changed" if told.changed else ""
        click.echo(f"{table:<10}{told.before:,} rows → {told.after:,}{changed}")
    if held_id == TABLES:
        click.echo("the tables stay as they are: `materialize` brings them online")
    click.echo(f"{held_id}: {'would be released; nothing was done' if dry_run else 'released'}")


@quality_command.command("discard")
@click.argument("held_id", metavar="ID")
def discard_command(held_id: str) -> None:
    """Throw away what is held back."""
    with Quarantine(home_directory()).taken(held_id):
        click.echo(f"{held_id}: discarded")
