"""`python -m loadtests.bench`: the service beside bare handlers and peers, in one sitting."""

import asyncio
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import click
from rich.progress import track

from features.embedded import EmbeddedValkey
from loadtests.bench.contender import CEILING, REGULARS, Contender, Shop, contenders
from loadtests.bench.measure import OTHERS_CORE, SERVER_CORE, Figures, Load, measure, pinned
from loadtests.bench.shop import fill, promote_bundle
from loadtests.bench.table import table
from loadtests.run import LoadTestError

ITEMS = 1_000


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", default=5.0, show_default=True, help="Of each run, each way.")
@click.option("--repeat", default=3, show_default=True, help="Medians of so many rounds.")
@click.option("--rate", default=300.0, show_default=True, help="Of the open loop, requests/s.")
@click.option("--connections", default=32, show_default=True, help="Of the closed loop.")
@click.option("--only", default="", help="Contenders whose name holds this, and the ceiling.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the figures here (JSON).")
def main(
    seconds: float, repeat: int, rate: float, connections: int, only: str, out: Path | None
) -> None:
    """Measure all contenders round by round and print medians and ratios to the ceiling.

    The server has core 0 to itself; requests, Valkey and this program share core 1.
    """
    pinned(OTHERS_CORE)()
    with tempfile.TemporaryDirectory() as scratch, EmbeddedValkey(Path(scratch) / "store") as store:
        folder = Path(scratch)
        shop = Shop(store.url, folder / "towers", folder / "trees")
        promote_bundle(shop.towers, ITEMS, trees=False)
        promote_bundle(shop.trees, ITEMS, trees=True)
        asyncio.run(fill(store, ITEMS, REGULARS[1]))
        chosen = [each for each in contenders(shop) if each.name == CEILING or only in each.name]
        runs = _measured(chosen, folder, repeat, Load(seconds, connections, rate))
    click.echo(table(runs))
    if out is not None:
        figures = {name: [asdict(each) for each in told] for name, told in runs.items()}
        out.write_text(json.dumps(figures, indent=1) + "\n")


def _measured(
    chosen: list[Contender], folder: Path, repeat: int, load: Load
) -> dict[str, list[Figures]]:
    runs: dict[str, list[Figures]] = {each.name: [] for each in chosen}
    rounds = [each for _ in range(repeat) for each in chosen]
    for each in track(rounds, "measuring", disable=not sys.stderr.isatty()):
        runs[each.name].append(measure(each, folder, load))
    return runs


if __name__ == "__main__":
    if not {SERVER_CORE, OTHERS_CORE} <= os.sched_getaffinity(0):
        click.echo("only one core: server and load share it, so only CPU-ms means much", err=True)
    try:
        main.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        raise SystemExit(2) from None
    except LoadTestError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(2) from None
