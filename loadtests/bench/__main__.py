"""`python -m loadtests.bench`: the service beside bare handlers and peers, in one sitting."""

import asyncio
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import click
from rich.progress import track

from features.online.embedded import EmbeddedValkey
from loadtests.bench.contender import (
    BOUGHT,
    CEILING,
    OWNERS,
    PEERS_PYTHON,
    REGULARS,
    Contender,
    Shop,
    contenders,
)
from loadtests.bench.measure import OTHERS_CORE, Load, measure, pinned
from loadtests.bench.plot import plot
from loadtests.bench.shop import TREES, fill, promote, shop_parts
from loadtests.bench.table import Round, table
from loadtests.command import refuse_unknown, run, warn_of_one_core

ITEMS = 1_000


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", default=5.0, show_default=True, help="Of each run, each way.")
@click.option("--repeat", default=3, show_default=True, help="Medians of so many rounds.")
@click.option("--rate", default=300.0, show_default=True, help="Of the open loop, requests/s.")
@click.option("--connections", default=32, show_default=True, help="Of the closed loop.")
@click.option("--only", default="", help="Contenders whose name holds this, and the ceiling.")
@click.option(
    "--out",
    default="var/bench",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of bench.json, bench.md and bench.svg.",
)
def main(seconds: float, repeat: int, rate: float, connections: int, only: str, out: Path) -> None:
    """Measure all contenders round by round and print medians and ratios to the ceiling.

    The server has core 0 to itself; requests, Valkey and this program share core 1.
    """
    pinned(OTHERS_CORE)()
    if not PEERS_PYTHON.exists():
        click.echo("peers are not measured, since they are not installed: make peers", err=True)
    with tempfile.TemporaryDirectory() as scratch, EmbeddedValkey(Path(scratch) / "store") as store:
        folder = Path(scratch)
        owners = EmbeddedValkey(folder / "owners")
        shop = Shop(store.url, owners, folder / "towers", folder / "trees")
        everybody = contenders(shop)
        refuse_unknown(only, [each.name for each in everybody])
        with owners:
            asyncio.run(fill(owners, ITEMS, OWNERS[1], bought=BOUGHT))
        promote(shop.towers, shop_parts(ITEMS))
        promote(shop.trees, shop_parts(ITEMS, trees=TREES))
        asyncio.run(fill(store, ITEMS, REGULARS[1]))
        chosen = [each for each in everybody if each.name == CEILING or only in each.name]
        rounds = _measured(chosen, folder, repeat, Load(seconds, connections, rate))
    click.echo(table(rounds))
    out.mkdir(parents=True, exist_ok=True)
    told = json.dumps([asdict(each) for each in rounds], indent=1)
    (out / "bench.json").write_text(told + "\n")
    (out / "bench.md").write_text(table(rounds) + "\n")
    plot(rounds, out / "bench.svg")


def _measured(chosen: list[Contender], folder: Path, repeat: int, load: Load) -> list[Round]:
    everybody = [*chosen, chosen[0]]
    turns = [each for _ in range(repeat) for each in everybody]
    told = [
        measure(each, folder, load)
        for each in track(turns, "measuring", disable=not sys.stderr.isatty())
    ]
    names = [each.name for each in chosen]
    return [
        Round(dict(zip(names, told[at:], strict=False)), told[at + len(names)])
        for at in range(0, len(told), len(everybody))
    ]


if __name__ == "__main__":
    warn_of_one_core()
    run(main)
