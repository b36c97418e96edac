"""`python -m models push`, `pull` and `follow`: a registry that several homes share."""

import logging
import signal
import sys
import time

import click

from features.number_range import NumberRange
from models.errors import AwayError, DiskError, ModelsError
from models.home_registry import home_registry, required_shared_registry
from models.shared_registry import SharedRegistry

log = logging.getLogger("models.follow")

FOLLOW_S = 5.0
"""How often a shared registry is asked for a newer record."""

LONGEST_S = 60.0
"""How often at least, however long it has been away."""


@click.command("push")
@click.argument("model")
@click.option("--anew", is_flag=True, help="Send every file, whatever is there.")
def push_command(model: str, anew: bool) -> None:
    """Send MODEL, a version or alias of this home, to the registry that CUVEE_REGISTRY names."""
    shared = required_shared_registry(home_registry())
    pushed = shared.push(model, anew=anew)
    click.echo(
        f"{pushed.version} is in {shared}: {pushed.sent} files sent, {pushed.size / 1e6:.1f} MB, "
        f"{pushed.there} were there"
    )


@click.command("pull")
@click.argument("model", required=False)
def pull_command(model: str | None) -> None:
    """Bring MODEL, a version or alias of CUVEE_REGISTRY, to this home.

    Without MODEL the home follows the aliases: what serves there serves here.
    """
    shared = required_shared_registry(home_registry())
    if model is not None:
        click.echo(f"{shared.pull(model)} is here")
        return
    record = shared.follow()
    click.echo("nothing new" if record is None else f"production is {record.aliases.production}")


@click.command("follow")
@click.option("--every", default=FOLLOW_S, show_default=True, type=NumberRange(0.1))
def follow_command(every: float) -> None:
    """Follow the aliases of CUVEE_REGISTRY until told to stop; a service runs this beside itself.

    Homes also tell each other so what they counted of a model on trial. While it is away, or what
    it names cannot be loaded, the home goes on as it is.
    """
    shared = required_shared_registry(home_registry())
    logging.basicConfig(format="%(levelname)s %(name)s %(message)s", level=logging.INFO)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))  # what is half pulled is swept
    pause, told = every, ""
    while True:
        if _follow(shared):
            pause, told = every, _exchange(shared, told)
        else:
            pause = min(2 * pause, max(LONGEST_S, every))
        time.sleep(pause)


def _follow(shared: SharedRegistry) -> bool:
    """Look once; tell whether to look as often as ever: of a full disk, too, harm must end."""
    try:
        record = shared.follow()
    except AwayError as error:
        log.warning("the shared registry is away, the home goes on: %s", error)
        return False
    except ModelsError as error:
        log.error("not followed, the home goes on: %s", error)  # noqa: TRY400 - told in a line
        return isinstance(error, DiskError)
    if record is not None:
        log.info("followed record %d: production is %s", record.number, record.aliases.production)
    return True


def _exchange(shared: SharedRegistry, told: str) -> str:
    """Exchange counts with other homes; say why not where that is not what was `told` last."""
    try:
        shared.exchange_counts()
    except ModelsError as error:
        if str(error) != told:
            log.warning("homes do not hear of each other: %s", error)
        return str(error)
    return ""
