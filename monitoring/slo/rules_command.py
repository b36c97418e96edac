"""`python -m monitoring rules`: what Prometheus is to record and to alert on, from `slo.yaml`."""

import re
from pathlib import Path

import click

from features.errors import InputError
from features.number_range import NumberRange
from features.yaml_fields import read_text
from models.directory import replace_file
from monitoring.slo.objectives import read_slo
from monitoring.slo.rules import RUNBOOK, Rules

MADE = "slo.rules.yaml"
_STALE = 1
_RULE_FILES = "*.rules.yaml"
_LINK = re.compile(rf"(?<=runbook_url: )\S*/{re.escape(RUNBOOK)}(?=#)")
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("rules")
@click.option(
    "--slo",
    "source",
    default="deploy/slo.yaml",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The objectives.",
)
@click.option(
    "--out",
    default="deploy/prometheus",
    show_default=True,
    type=_FOLDER,
    help=f"Write {MADE} here; --docs holds for all rule files that are here.",
)
@click.option(
    "--docs",
    default="docs",
    show_default=True,
    metavar="URL",
    help="Where runbook.md lies, for the runbook_url of every alert.",
)
@click.option(
    "--faster",
    default=1.0,
    show_default=True,
    type=NumberRange(1, 1_000),
    metavar="TIMES",
    help="Shorten all windows, to try alerts out.",
)
@click.option("--check", is_flag=True, help="Write nothing; end with 1 where files would change.")
def rules_command(source: Path, out: Path, docs: str, faster: float, check: bool) -> None:
    """Make recording rules and burn-rate alerts of the objectives in slo.yaml.

    docs/slo.md explains both. Prometheus reads them when it is told to: POST /-/reload, or SIGHUP.
    """
    if not re.fullmatch(r"[!-~]+", docs) or re.search(r"[\"'#{}]", docs):
        raise InputError(f"--docs: expected a URL or a path without blanks, got {docs!r:.80}")
    docs = docs.rstrip("/")
    texts = {out / MADE: Rules(read_slo(source), docs, faster).text(source.name)}
    for path in sorted(set(out.glob(_RULE_FILES)) - set(texts)):
        texts[path] = _LINK.sub(lambda _: f"{docs}/{RUNBOOK}", read_text(path))
    changed = [path for path, text in texts.items() if not path.exists() or read_text(path) != text]
    for path in changed:
        click.echo(f"{'would change' if check else 'wrote'} {path}")
        if not check:
            replace_file(path, texts[path].encode())
    if check and changed:
        raise SystemExit(_STALE)
