"""`python -m models train`: a model of what is stored, promoted where it is better."""

import json
import time
from contextlib import AbstractContextManager, suppress
from functools import partial

import click

from features.declared import FEATURE_SET
from features.errors import InputError
from features.home import command_in, home_directory
from features.number_range import NumberRange
from features.offline.store import OfflineStore
from features.progress import progress
from features.training.engine_options import engine_options
from models.alias_registry import AliasRegistry
from models.bundle import Lineage, write_bundle
from models.code_revision import code_revision, sources
from models.engine import Engine, engine_named
from models.errors import ConflictError, ModelsError
from models.evaluate import MODEL, SEGMENT
from models.home_registry import home_registry, shared_registry, signing_key
from models.journal import CANDIDATE, PRODUCTION
from models.made_already import made_already, readable_manifest, serves_already, told_of
from models.manifest import IMPORTED, Manifest
from models.orders import Kept
from models.parts import Parts
from models.placement import waits_here_if_away
from models.registry import Registry
from models.registry_commands import who_option, why_option
from models.report_command import write_report
from models.shared_registry import SharedRegistry
from models.stages import kept_stages
from models.training import STEPS, train
from models.validated import MARGIN, VALIDATED, Validation
from models.validation import Against

WHY = "trained"


@click.command("train")
@click.option("--if-missing", is_flag=True, help="Do nothing if a model serves already.")
@click.option("--if-stale", is_flag=True, help="Do nothing if there is a model of these data.")
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0, 2**32 - 1),
    help="Equal data and seeds give equal models.",
)
@click.option("--no-promote", is_flag=True, help="Leave the model waiting as `candidate`.")
@click.option(
    "--against",
    metavar="MODEL",
    help="Promote only where it is no worse than MODEL, a version or alias, and that still serves.",
)
@click.option(
    "--margin",
    default=MARGIN,
    show_default=True,
    type=NumberRange(0, 1),
    help="With --against: the share of MODEL's NDCG@10 that may be lost.",
)
@click.option(
    "--mature-s",
    default=0,
    show_default=True,
    type=click.IntRange(0, 10 * 366 * 86_400),
    help="With --against: what was wanted in the last so many seconds does not count yet.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@why_option
@who_option
@partial(engine_options, named=engine_named)
def train_command(
    if_missing: bool,
    if_stale: bool,
    seed: int,
    no_promote: bool,
    against: str | None,
    margin: float,
    mature_s: int,
    as_json: bool,
    why: str,
    who: str | None,
    engine: AbstractContextManager[Engine],
) -> None:
    """Train on everything in CUVEE_HOME and write a model.

    The first tenths of the past train, the last tenth judges; then all of it trains what is
    written, with a page of figures in CUVEE_HOME/reports. The first model, and any that beats
    segment popularity by more than chance, becomes the production model, as does any in place of
    one that did not beat it, and that could not be judged if this cannot; any other waits as
    `candidate`. Services follow within a second. One that was killed goes on where it was, if the
    data are the same.

    With --against both are asked for the same shoppers of the last tenth: the new one as learnt
    before it, MODEL as it is. What MODEL learnt from does not judge: where fewer than twenty
    shoppers wanted something since its data ended, the new one waits as `candidate`. Else that
    decides, by a 95 % interval, and nothing else.
    """
    home = home_directory()
    store, registry = OfflineStore(home), home_registry()
    shared = shared_registry(registry)
    rival = None
    if against is not None:
        rival = Against(registry.load(against), margin, mature_s * 1_000)
    there = serves_already(registry, store) if if_missing else None
    if there is None and if_stale:
        there = made_already(registry, store, rival)
    if there is not None:
        click.echo(json.dumps(there.told) if as_json else there.why)
        return
    key = signing_key(registry.trusted)
    _tell_why_not(registry)
    started = time.monotonic()
    with kept_stages(home, *_told(store, seed)) as stages:
        with progress("training", STEPS) as bar, engine as where:
            parts = train(
                store,
                seed=seed,
                step=lambda _: bar.advance(),
                stages=stages,
                engine=where,
                against=rival,
            )
        lineage = Lineage(code_revision(), registry.production())
        version = write_bundle(registry.directory, parts, lineage=lineage, key=key)
    told = _told_why(why, parts)
    role = _place(
        registry, version, parts, promote=not no_promote, shared=shared, why=told, who=who
    )
    _write_report(registry, version)
    if as_json:
        click.echo(json.dumps(told_of(version, role, parts.metrics)))
    else:
        click.echo(_summary(version, role, time.monotonic() - started, parts))
    if role == CANDIDATE and not no_promote:
        _tell_what_serves(registry, store)


def _tell_what_serves(registry: Registry, store: OfflineStore) -> None:
    """Say that a model which waits leaves the shop as an older one knows it."""
    if (serving := registry.production()) is not None:
        lets = command_in(store.home, "python -m models promote candidate")
        click.echo(
            f"warning: {serving} serves on, with the items that it was made of: "
            f"{lets} lets this one serve",
            err=True,
        )


def _write_report(registry: Registry, version: str) -> None:
    """Write the page about a run; the model is there and is told of, whether that can be or not."""
    try:
        write_report(registry.manifest(version), registry.report_path(version))
    except InputError as error:
        click.echo(f"warning: {error}; python -m models report {version} makes it", err=True)


def _told(store: OfflineStore, seed: int) -> tuple[object, ...]:
    """Return all that a training depends on: who is forgotten counts, however old the data."""
    forgotten = store.forgotten()
    schema = FEATURE_SET.schema_hash
    data = store.identity(), store.last_change(), forgotten.latest_ms, len(forgotten)
    return *data, seed, schema, sources()


def _tell_why_not(registry: Registry) -> None:
    """Say why the model that should serve is left aside: perhaps it is not what was meant."""
    version = registry.production()
    try:
        if version is not None:
            registry.load(version)
    except ModelsError as error:
        click.echo(f"the production model cannot be used: {error}", err=True)


def _place(
    registry: Registry,
    version: str,
    parts: Parts,
    *,
    promote: bool,
    shared: SharedRegistry | None = None,
    why: str = WHY,
    who: str | None = None,
) -> str:
    """Give the model its alias, in the shared registry if there is one, and return it."""
    moves = shared or registry
    with waits_here_if_away(registry, version, why, who):
        if promote and _deserves(parts, readable_manifest(registry, registry.production())):
            with suppress(ConflictError):  # what somebody else chose meanwhile serves on
                _promote(moves, version, parts, why, who)
                return PRODUCTION
        moves.set_candidate(version, why, who)
    return CANDIDATE


def _promote(moves: AliasRegistry, version: str, parts: Parts, why: str, who: str | None) -> None:
    """Let a model serve; one that was measured against another only in the place of that one."""
    if VALIDATED in parts.metrics:
        incumbent = Validation.of(parts.metrics[VALIDATED]).incumbent
        moves.promote(version, why, who, serves=incumbent, canary=None)
    else:
        moves.promote(version, why, who)


def _deserves(parts: Parts, present: Manifest | None) -> bool:
    """Tell whether a model should serve: the first, a better one, or what follows one that was not.

    What beats what segments buy stays until something else does. Other models would grow old, and
    lack what is new: they give way to newer data, unless those cannot be judged and they could, or
    somebody brought their ranker. What was measured against another serves where it is no worse,
    and that one still serves.
    """
    if VALIDATED in parts.metrics:
        validation = Validation.of(parts.metrics[VALIDATED])
        serves = None if present is None else present.version
        return validation.is_no_worse and validation.incumbent == serves
    if present is None or parts.metrics.get("beats_segments"):
        return True
    if IMPORTED in present.parameters:
        return False
    if MODEL not in parts.metrics:
        return MODEL not in present.metrics
    return not present.metrics.get("beats_segments")


def _is_popularity(parts: Parts) -> bool:
    """Tell whether popular lists serve since personal ones were worse."""
    return parts.parameters.get("order") == Kept.POPULARITY.value


def _told_why(why: str, parts: Parts) -> str:
    """Return the reason for the history: what is told, and what was measured."""
    if VALIDATED not in parts.metrics:
        return f"{why or WHY}: {_judged(parts)}"
    return f"{why or WHY}; {Validation.of(parts.metrics[VALIDATED])}"


def _summary(version: str, role: str, seconds: float, parts: Parts) -> str:
    """Return the one line that says what came of it."""
    validation = parts.metrics.get(VALIDATED)
    judged = _judged(parts) if validation is None else Validation.of(validation)
    return f"{version}  {role}  {seconds:.1f} s  {judged}"


def _judged(parts: Parts) -> str:
    """Return what a model is worth, for its line and for the history."""
    figures = {
        name: f"{parts.metrics[name]['ndcg@10']:.4f}"
        for name in (MODEL, SEGMENT)
        if name in parts.metrics
    }
    if len(figures) < 2:
        return "too few shoppers to judge it"
    if _is_popularity(parts):
        return f"NDCG@10 {figures[MODEL]} (segment popularity itself: personal lists were worse)"
    return f"NDCG@10 {figures[MODEL]} (segment popularity {figures[SEGMENT]})"
