"""`python -m loadtests.store`: the feature store beside Feast, by turns in one run."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

from features.declared import FEATURE_NAMES
from features.history import GRADED_ITEMS, RECENT_CAP
from loadtests.command import run, warn_of_one_core
from loadtests.store.figures import CUVEE, INGEST, Part, join_figures, online_figures
from loadtests.store.ingest import Ingest, measure_ingest
from loadtests.store.join import measure_join
from loadtests.store.online import Online, measure_online
from loadtests.store.plot import plot
from loadtests.store.program import FEAST_PYTHON
from loadtests.store.table import tables
from loadtests.store.tables import make_tables

SHAPES = (90, 10)
"""Events a shopper, about: those of the demo shop, and of one whose shoppers seldom come."""

LARGE = {10: "≤ 3", 100: ""}
"""Million events of the larger joins, and how many seconds each is to take."""

NODE_GB, MANY_SHOPPERS = 25, 10_000_000


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured, and how often."""

    repeat: int
    online: Online
    shapes: tuple[int, ...]
    rows: int
    events: int
    large_rows: int
    posted: int
    batches: tuple[int, ...]
    connections: int


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--repeat", default=3, show_default=True, help="Rounds; each measures everybody.")
@click.option("--shoppers", default=20_000, show_default=True, help="In the online stores.")
@click.option("--calls", default=20_000, show_default=True, help="Shoppers asked for, each way.")
@click.option("--in-flight", default=32, show_default=True, help="Requests at once.")
@click.option("--events", default=1_000_000, show_default=True, help="In the tables of the join.")
@click.option(
    "--events-a-shopper", multiple=True, default=SHAPES, show_default=True, help="A join for each."
)
@click.option("--rows", default=100_000, show_default=True, help="Labels of the join.")
@click.option(
    "--large-rows", default=1_000_000, show_default=True, help="Labels over 10 M events; 0: none."
)
@click.option("--large", is_flag=True, help="Also over 100 M events: half an hour, 2 GB of disk.")
@click.option("--posted", default=100_000, show_default=True, help="Events posted over HTTP.")
@click.option("--batch", multiple=True, default=(1_000, 100), show_default=True, help="In a post.")
@click.option("--connections", default=8, show_default=True, help="Of who posts.")
@click.option(
    "--out",
    default="var/store",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of store.json, store.md and store.svg.",
)
def main(
    repeat: int,
    shoppers: int,
    calls: int,
    in_flight: int,
    events: int,
    events_a_shopper: tuple[int, ...],
    rows: int,
    large_rows: int,
    large: bool,
    posted: int,
    batch: tuple[int, ...],
    connections: int,
    out: Path,
) -> None:
    """Measure the feature store and, where it is installed, Feast; print figures and ratios."""
    if not FEAST_PYTHON.exists():
        click.echo("Feast is not installed, so ours is measured alone: make feast", err=True)
    sizes = Sizes(
        repeat,
        Online(shoppers, calls, in_flight),
        events_a_shopper,
        rows,
        events,
        large_rows,
        posted,
        batch,
        connections,
    )
    with tempfile.TemporaryDirectory() as scratch:
        parts = _measured(Path(scratch), sizes, large=large)
    told = "\n\n".join((tables(parts), _arithmetic(parts[0])))
    click.echo(told)
    out.mkdir(parents=True, exist_ok=True)
    rounds = {part.title: part.rounds for part in parts}
    (out / "store.json").write_text(json.dumps(rounds, indent=1) + "\n")
    (out / "store.md").write_text(told + "\n")
    plot(parts, out / "store.svg")


def _measured(folder: Path, sizes: Sizes, *, large: bool) -> list[Part]:
    parts = [_online(folder, sizes)]
    parts += [_join(folder, sizes, each) for each in sizes.shapes]
    if sizes.large_rows:
        millions = [each for each in LARGE if each <= 10 or large]
        parts += [_large(folder, sizes, each) for each in millions]
    placed = [(batch, alone) for batch in sizes.batches for alone in (False, True)]
    return [*parts, *(_ingest(folder, sizes, *each) for each in placed)]


def _online(folder: Path, sizes: Sizes) -> Part:
    how = sizes.online
    note = (
        f"{len(FEATURE_NAMES)} features of {how.shoppers:,} shoppers with {RECENT_CAP} events and "
        f"{GRADED_ITEMS} graded items each, over TCP. Ours are computed from the events at each "
        "read; Feast reads values that were computed before."
    )
    rounds = measure_online(folder, how, sizes.repeat)
    return Part("Online", note, online_figures(how.in_flight), rounds)


def _join(folder: Path, sizes: Sizes, each: int) -> Part:
    made = make_tables(folder / f"join-{each}", sizes.events, sizes.rows, each)
    note = (
        f"{sizes.rows:,} labels over {sizes.events:,} events, {each} a shopper, table to file. "
        "Ours computes from the events; Feast looks up a row of values for each event."
    )
    figures = join_figures("≤ 0.2", "half of Feast's")
    return Part(f"Join, {each} events a shopper", note, figures, measure_join(made, sizes.repeat))


def _large(folder: Path, sizes: Sizes, millions: int) -> Part:
    events = millions * 1_000_000
    made = make_tables(folder / f"large-{millions}", events, sizes.large_rows, SHAPES[0])
    note = f"{sizes.large_rows:,} labels over {events:,} events, table to file."
    goal, repeat = LARGE[millions], sizes.repeat if millions <= 10 else 1
    rounds = measure_join(made, repeat, peers=False)
    return Part(f"Join, {millions} M events", note, join_figures(goal, "≤ 8,000"), rounds)


def _ingest(folder: Path, sizes: Sizes, batch: int, alone: bool) -> Part:
    how = Ingest(sizes.posted, batch, sizes.connections, alone)
    where = (
        "the service has a core, Valkey, consumers and who posts share the other"
        if alone
        else "service, Valkey and consumers share a core"
    )
    note = (
        f"{how.events:,} events to POST /v1/events, {batch} each, over {how.connections} "
        f"connections; {where}."
    )
    homes = [folder / f"ingest-{batch}-{alone}-{turn}" for turn in range(sizes.repeat)]
    title = f"Ingest, {batch} events a post, {'two cores' if alone else 'one core'}"
    return Part(title, note, INGEST, [measure_ingest(each, how) for each in homes])


def _arithmetic(online: Part) -> str:
    """Return what many shoppers take."""
    figure = next(each for each in online.figures if each.key == "bytes")
    whole_gb = online.of(figure, CUVEE) * MANY_SHOPPERS / 1e9
    nodes = -(-whole_gb // NODE_GB)
    return (
        f"{MANY_SHOPPERS // 1_000_000} M shoppers: {online.of(figure, CUVEE):,.0f} bytes each are "
        f"{whole_gb:,.0f} GB, {nodes:.0f} nodes of {NODE_GB} GB."
    )


if __name__ == "__main__":
    warn_of_one_core()
    run(main)
