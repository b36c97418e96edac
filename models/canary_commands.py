"""`python -m models canary start`, `status`, `advance` and `stop`: a model on trial."""

import click
import orjson

from features.home import home_directory
from models.advance import advance
from models.alias_registry import AliasRegistry
from models.canary import Canary
from models.canary_counts import CANARY, CONTROL, read_counts
from models.errors import OverError, RegistryError
from models.home_registry import home_registry
from models.journal import CANDIDATE
from models.registry_commands import (
    here_option,
    moved_registry,
    table,
    who_option,
    why_option,
)
from models.rollout import rollout_in_force
from models.verdict import Evidence, judge

step_option = click.option("--step", help="Only if this step is on, by its key in `status`.")


@click.group("canary")
def canary_commands() -> None:
    """Let a model rank beside the one that serves, then serve some shoppers, then all.

    What the steps are and what stops them is declared: CUVEE_ROLLOUT may name a YAML file.
    """


@canary_commands.command("start")
@click.argument("model", default=CANDIDATE)
@click.option("--by-hand", is_flag=True, help="Go on only when told; harm ends it all the same.")
@why_option
@who_option
@here_option
def start_command(model: str, by_hand: bool, why: str, who: str | None, here: bool) -> None:
    """Begin the trial of MODEL, a version or an alias."""
    canary = rollout_in_force().begin(model, by_hand=by_hand)
    click.echo(_state(moved_registry(here).start_canary(canary, why, who)))


@canary_commands.command("status", short_help="Tell how a trial does.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object; null where none is on trial."
)
def status_command(as_json: bool) -> None:
    """Tell which model is on trial, how it does, and what is waited for.

    Of this home and of those that share its registry, as they told last.
    """
    canary = home_registry().canary()
    if canary is None:
        click.echo("null" if as_json else "no model is on trial")
        return
    counts = read_counts(home_directory(), canary)
    verdict = judge(rollout_in_force(), canary, counts)
    scores = {"control": counts.scores(CONTROL), "canary": counts.scores(CANARY)}
    if as_json:
        state = {
            "canary": canary,
            "key": canary.key,
            "homes": counts.homes,
            "scores": scores,
            **verdict.told(),
        }
        click.echo(orjson.dumps(state))
        return
    homes = f" in {counts.homes} homes" if counts.homes > 1 else ""
    seen = f"for {canary.age_s():.0f} s, {verdict.requests} requests{homes}"
    click.echo(f"{_state(canary)}, {seen}")
    click.echo(f"{verdict.move}: {verdict.why}")
    click.echo(table([_row(each) for each in verdict.evidence], "nothing to tell it by"))
    if verdict.sample is not None:
        click.echo(verdict.sample)
    for arm, told in scores.items():
        if told is not None:
            click.echo(f"scores of the {arm}: {told[0]:.4g} ± {told[1]:.4g}")


@canary_commands.command("advance", short_help="Take the next step now.")
@step_option
@why_option
@who_option
@here_option
def advance_command(step: str | None, why: str, who: str | None, here: bool) -> None:
    """Take the next step now, whatever is known; after the last the model serves everybody."""
    registry, rollout = moved_registry(here), rollout_in_force()
    canary = _on_trial(registry, step)
    wanted = advance(registry, rollout, canary, why, who)
    click.echo(_state(wanted) if wanted else f"production is {canary.version}")


@canary_commands.command("stop")
@step_option
@why_option
@who_option
@here_option
def stop_command(step: str | None, why: str, who: str | None, here: bool) -> None:
    """End the trial: its shoppers get the model that serves."""
    registry = moved_registry(here)
    canary = _on_trial(registry, step)
    registry.move_canary(canary, None, why, who)
    click.echo(f"{canary.version} is not on trial any more")


def _on_trial(registry: AliasRegistry, step: str | None) -> Canary:
    canary = registry.canary()
    if step is not None and (canary is None or not step.startswith(f"{canary.version}.")):
        on = "no model" if canary is None else canary.key
        raise OverError(f"the trial of step {step} is over; {on} is on trial")
    if canary is None:
        raise RegistryError("no model is on trial")
    if step is not None and step != canary.key:
        raise RegistryError(f"step {step} is over; {canary.key} is on")
    return canary


def _state(canary: Canary) -> str:
    how = "" if canary.automatic else ", by hand"
    if canary.step == 0:
        return f"{canary.version} ranks beside the model that serves{how}"
    return f"{canary.version} serves {canary.share:.2%} of shoppers, step {canary.step}{how}"


def _row(each: Evidence) -> dict[str, object]:
    state = "broken" if each.is_broken else "kept" if each.is_kept else "open"
    figures = {
        "control": each.control,
        "canary": each.canary,
        "worse by at least": each.low,
        "at most": each.high,
        "allowed": each.margin,
    }
    shown = {name: "-" if value is None else f"{value:.4g}" for name, value in figures.items()}
    return {"guardrail": each.guardrail, **shown, "state": state}
