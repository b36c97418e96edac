"""`python -m models rules validate` and `show`: a storefront's rules, checked and as they hold."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from typing import Any

import click
import yaml

from models.errors import ModelsError
from models.home_registry import home_registry
from models.journal import PRODUCTION
from models.rules.declared import Page, PageRules, Rules
from models.rules.parse import read_rules
from models.rules.written import written, written_repurchase

_FILE = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@click.group("rules", context_settings={"help_option_names": ["-h", "--help"]})
def rules_command() -> None:
    """Rules of a storefront: what is pinned, boosted, capped, hidden; see docs/rules.md.

    A service follows those of the file that CUVEE_RULES names.
    """


@rules_command.command("validate")
@_FILE
@click.option(
    "--model",
    default=PRODUCTION,
    show_default=True,
    help="A version or an alias whose items and categories the rules should name.",
)
def validate_command(file: Path, model: str) -> None:
    """Check FILE, and what of it MODEL knows nothing of.

    Ends with 2 where the file cannot be used; names that the model does not know are told, and
    are no mistake. Without a model only the file is checked.
    """
    rules = read_rules(file)
    try:
        warnings = home_registry().load(model).follow(rules)
    except ModelsError as error:
        click.echo(f"names are not checked: {error}", err=True)
        warnings = []
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{file}: valid, digest {rules.digest}")


@rules_command.command("show")
@_FILE
@click.option("--page", type=click.Choice([str(each) for each in Page]), help="Only of this one.")
def show_command(file: Path, page: str | None) -> None:
    """Show what holds on each page, what pages inherit included."""
    rules = read_rules(file)
    for each in Page:
        if page in (None, each):
            click.echo(f"{each}\n{_told(rules.pages[each])}")
    if page is None:
        click.echo(f"every page\n{_shoppers(rules)}")


def _told(page: PageRules) -> str:
    told = written(page)
    return _yaml(told) if told else "  as it was ranked"


def _shoppers(rules: Rules) -> str:
    weights = ", ".join(f"{kind} {weight:g}" for kind, weight in rules.weights.items())
    repurchase = {"repurchase": written_repurchase(rules.repurchase)}
    return f"  weights: {weights or 'as in training'}\n{_yaml(repurchase)}"


def _yaml(told: Mapping[str, Any]) -> str:
    return indent(yaml.safe_dump(told, sort_keys=False, allow_unicode=True).rstrip(), "  ")
