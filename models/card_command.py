"""`python -m models card`: what a model is, for people who did not make it."""

from html import escape
from pathlib import Path

import click
from markdown_it import MarkdownIt

from models.card import model_card
from models.home_registry import home_registry
from models.page_file import write_page

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 16px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; display: block; overflow-x: auto }}
td, th {{ border-bottom: 1px solid #ddd; padding: .2rem .8rem .2rem 0; text-align: left }}
</style></head><body>
{body}</body></html>
"""


@click.command("card")
@click.argument("model", default="production")
@click.option("--html", is_flag=True, help="A page, not Markdown.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to a file."
)
def card_command(model: str, html: bool, output: Path | None) -> None:
    """Write the model card of MODEL: data, figures, limits, lineage, as its manifest has them."""
    manifest = home_registry().manifest(model)
    card = model_card(manifest)
    if html:
        body = MarkdownIt("commonmark", {"html": False}).enable("table").render(card)
        card = _PAGE.format(title=escape(f"Model {manifest.version}"), body=body)
    if output is None:
        click.echo(card, nl=False)
        return
    click.echo(write_page(output, card))
