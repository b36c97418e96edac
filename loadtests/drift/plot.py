"""The outcomes of all worlds as a picture: how soon, how small a shift, how often in vain."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from loadtests.drift.trial import CHANGES, CURVE, Outcome
from loadtests.picture import OTHERS, OWN, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOOKS = (3, 16)
"""Windows after which it is drawn what was found."""

_STYLES = ("-", "--", ":")


def plot(worlds: Sequence[dict[str, Outcome]], path: Path) -> None:
    """Draw detection over windows, power over shifts, and false alarms beside the naive rule."""
    with picture(path, 3, (12, 3.6)) as (soon, power, false):
        _draw_soon(soon, worlds)
        _draw_power(power, worlds)
        _draw_false(false, worlds)


def reached(worlds: Sequence[dict[str, Outcome]], change: str) -> list[float]:
    """Return for each window since a change the share of drifted columns flagged by then, by us."""
    told: list[float] = np.mean([each["ours"].scores[change].reached for each in worlds], axis=0)
    return list(told)


def false_shares(worlds: Sequence[dict[str, Outcome]], rule: str) -> tuple[float, float]:
    """Return the shares of quiet windows that a rule alarmed in, and of its flags that are false.

    Flags are those on what the table shows; 0 where there are none.
    """
    told = [each[rule] for each in worlds if rule in each]
    scores = [each.scores[change] for each in told for change in each.scores if change in CHANGES]
    wrong = sum(each.wrong for each in scores)
    flags = wrong + sum(each.right for each in scores)
    alarmed = sum(each.alarms for each in told) / sum(each.quiet for each in told)
    return alarmed, wrong / flags if flags else 0.0


def _draw_soon(axis: "Axes", worlds: Sequence[dict[str, Outcome]]) -> None:
    for number, change in enumerate(CHANGES):
        told = reached(worlds, change)
        color = OWN if CHANGES[change].shift else "#3f6d63" if CHANGES[change].scale == 1 else "k"
        style = _STYLES[number % len(_STYLES)]
        axis.plot(range(1, len(told) + 1), told, style, color=color, label=change)
    axis.set(title="drifted columns found", xlabel="windows since the change", ylim=(0, 1.02))
    axis.legend(frameon=False, fontsize=8, loc="lower right")


def _draw_power(axis: "Axes", worlds: Sequence[dict[str, Outcome]]) -> None:
    shifts = {each.shift: name for name, each in {**CHANGES, **CURVE}.items() if each.shift}
    for looks, style in zip(_LOOKS, _STYLES, strict=False):
        told = [reached(worlds, shifts[each])[:looks][-1] for each in sorted(shifts)]
        axis.plot(sorted(shifts), told, f"o{style}", color=OWN, label=f"within {looks} windows")
    axis.axhline(0.8, color=OTHERS, linewidth=1)
    axis.set(title="power", xlabel="shift, standard deviations", ylim=(0, 1.02))
    axis.legend(frameon=False, fontsize=8, loc="lower right")


def _draw_false(axis: "Axes", worlds: Sequence[dict[str, Outcome]]) -> None:
    rules = [each for each in ("naive", "ours") if any(each in world for world in worlds)]
    for number, rule in enumerate(rules):
        shares = false_shares(worlds, rule)
        places = [0.4 * number + each for each in (0, 1)]
        bars = axis.bar(places, shares, 0.36, color=OWN if rule == "ours" else OTHERS, label=rule)
        axis.bar_label(bars, [f"{each:.1%}" for each in shares], fontsize=8)
    axis.set_xticks([0.2, 1.2], ["quiet windows\nalarmed", "flags that\nare false"])
    axis.set(title="false alarms", ylim=(0, 1.12))
    axis.legend(frameon=False, fontsize=8, loc="center right")
