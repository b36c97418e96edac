"""`python -m loadtests.faults`: one thing at a time breaks under load; what shoppers saw of it."""

import asyncio
import json
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import click

from features.embedded import EmbeddedValkey
from loadtests.bench.shop import fill, item_ids, promote, shop_parts, shopper_ids
from loadtests.faults.capacity import capacity
from loadtests.faults.events import Events
from loadtests.faults.faults import ITEMS, SHOPPERS, Fault, faults
from loadtests.faults.proxy import ChaosProxy
from loadtests.faults.rig import Rig, load, read_answers
from loadtests.faults.verdict import HEAD, Verdict, judge
from loadtests.run import LoadTestError

BEFORE_S, AFTER_S = 0.3, 0.7
"""Of the load around a fault, as a multiple of how long it lasts."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", default=10.0, show_default=True, help="How long a thing is broken.")
@click.option("--rate", default=100.0, show_default=True, help="Of the open loop, requests/s.")
@click.option("--only", default="", help="Faults whose name holds this.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write faults.json and faults.md into this folder.",
)
def main(seconds: float, rate: float, only: str, out: Path | None) -> None:
    """Print a row for each fault; end with 1 if one of them was more than shoppers may notice.

    Allowed are 503 past the hard limit or while draining, and connections that end with the
    process that held them. Everything else must be a 200 with items within 100 ms.
    """
    chosen = [each for each in faults() if only in each.name]
    click.echo(HEAD)
    verdicts = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _prepare(folder / "home")
        for number, fault in enumerate(chosen):
            verdicts.append(asyncio.run(_broken(fault, folder, number, seconds, rate)))
            click.echo(verdicts[-1].row())
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        told = json.dumps([asdict(each) for each in verdicts], indent=1)
        (out / "faults.json").write_text(told + "\n")
        (out / "faults.md").write_text("\n".join((HEAD, *(v.row() for v in verdicts))) + "\n")
    sys.exit(not all(each.is_kept for each in verdicts))


def _prepare(home: Path) -> None:
    """Make a home with a bundle, and shoppers in its store."""
    promote(home, shop_parts(ITEMS, shoppers=SHOPPERS))
    with EmbeddedValkey(home) as store:
        asyncio.run(fill(store, ITEMS, SHOPPERS))


async def _broken(fault: Fault, folder: Path, number: int, seconds: float, rate: float) -> Verdict:
    home = folder / f"home-{number}"
    shutil.copytree(folder / "home", home, ignore=shutil.ignore_patterns("*.sock", ".lock"))
    if fault.trees:
        promote(home, shop_parts(ITEMS, trees=fault.trees, shoppers=SHOPPERS))
    (home / "clock").write_text("+0\n")
    variables = {name: value.format(home=home) for name, value in fault.environment.items()}
    proxy = ChaosProxy(Path(), folder / f"{number}.sock") if fault.behind_proxy else None
    rig = Rig(home, variables, proxy=proxy)
    users = shopper_ids(0, SHOPPERS)
    bodies, answers = folder / "bodies.txt", folder / "answers.json"
    bodies.write_text("".join(f'{{"user_id":"{user}","k":10}}\n' for user in users))
    lasts = seconds * fault.lasts
    events = Events(rig, list(item_ids(ITEMS)))
    async with rig.running():
        if fault.overload:
            rate = fault.overload * await asyncio.to_thread(capacity, rig.port, bodies)
        around = lasts + seconds * (BEFORE_S + AFTER_S)
        async with events.sent(), load(rig, bodies, rate, around, answers):
            await asyncio.sleep(seconds * BEFORE_S)
            began = time.time()
            async with fault.breaks(rig):
                await asyncio.sleep(max(0.0, began + lasts - time.time()))
            broken = began, time.time()
    told = [
        each
        for each in read_answers(answers)
        if not any(gone <= each.due_s < back for gone, back in rig.away)
    ]
    return judge(fault.name, told, broken, events.taken, events.lost(), events.doubled())


if __name__ == "__main__":
    try:
        main.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        raise SystemExit(2) from None
    except LoadTestError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(2) from None
