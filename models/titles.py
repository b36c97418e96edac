"""Words for what is measured: lists, audiences and figures as tables call them."""

from collections.abc import Iterator, Mapping
from typing import Any

from models.audiences import ANONYMOUS, COLD, NEW_ITEMS, NEWCOMERS, ON_A_PAGE, ONLY_NEW, ROLLING
from models.baselines import ALS, EASE, KNN
from models.evaluate import CANDIDATES, MODEL, POPULARITY, RECENT, SEGMENT, UNSEGMENTED
from models.popularity import ALL_TIME_DAYS

LISTS = {
    POPULARITY: "popularity",
    RECENT: "recent popularity",
    SEGMENT: "segment popularity",
    KNN: "item-kNN (implicit)",
    ALS: "ALS (implicit)",
    EASE: "EASE (cornac)",
    CANDIDATES: "candidates alone",
    MODEL: "the model",
}
"""Lists in the order of tables, by name."""

FIGURES = {
    "ndcg@10": "NDCG@10",
    "recall@10": "Recall@10",
    "mrr@10": "MRR@10",
    "hitrate@10": "HitRate@10",
    "coverage@10": "coverage@10",
    "novelty@10": "novelty, bits",
    "gini@10": "Gini",
}

TEMPORAL = "temporal"
LEFT_OUT = "leave_last_out"

SPLITS = {
    TEMPORAL: "Split in time: the last tenth judges",
    LEFT_OUT: "Leave last out: what each shopper wanted last judges (leaks the future)",
}

Z_95 = 1.96
"""Standard errors on either side of a mean that hold 95 % of a normal distribution."""

HISTORY = "shoppers with a history of five items or more"
AUDIENCES = {
    COLD: "cold shoppers: one to four items",
    NEWCOMERS: "newcomers: nothing but where they live and the hour",
    ROLLING: "newcomers from 40 % of the past on, shown what those before them chose",
    ON_A_PAGE: "strangers on an item's page: nothing but that item",
    ANONYMOUS: "anonymous: a session's last clicks, no name",
    NEW_ITEMS: "new items among all items",
    ONLY_NEW: "new items when only those may be shown",
}


def is_judged(figures: Mapping[str, Any]) -> bool:
    """Tell whether there were shoppers enough to judge a model by."""
    return "users" in figures.get(MODEL, {})


def audiences_of(figures: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the title of each audience that was judged, and its figures, in the order of tables.

    A manifest has names in the order of the alphabet.
    """
    yield HISTORY, figures
    told = figures.get("audiences", {})
    yield from ((title, told[name]) for name, title in AUDIENCES.items() if name in told)


def segments_of(figures: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the figures of the segments that were judged, the largest first."""
    told = figures.get("by_segment", {})
    return dict(sorted(told.items(), key=lambda each: (-each[1]["users"], each[0])))


def beside_popularity(told: Mapping[str, Any]) -> str:
    """Return in words whether an audience is better served than by what everybody buys."""
    gain, low, high = _gain(told)
    level = "better than" if low > 0 else "worse than" if high < 0 else "not told apart from"
    words = f"the model is {level} popularity: {gain:+z.4f}, 95 % from {low:+z.4f} to {high:+z.4f}"
    if unknown := told.get(UNSEGMENTED):
        words += f"; {unknown:,} of {told[MODEL]['users']:,} are in no segment"
    return words


def is_better(told: Mapping[str, Any]) -> bool:
    """Tell whether an audience is better served than by what everybody buys, not by chance."""
    _, low, _ = _gain(told)
    return low > 0


def _gain(told: Mapping[str, Any]) -> tuple[float, float, float]:
    """Return the gain in NDCG@10 over popularity, and both ends of its 95 % interval."""
    gain, error = told["gain"][POPULARITY]["ndcg@10"], told["gain"][POPULARITY]["se"]
    return gain, gain - Z_95 * error, gain + Z_95 * error


def newcomers_are_shown(choices: Mapping[str, Any]) -> str:
    """Return in words what those are shown of whom nothing is known."""
    days, firsts, prior = (choices[each] for each in ("half_life_days", "firsts", "market_prior"))
    words = "what everybody bought" if firsts is None else f"the first {firsts} items of everybody"
    words += "" if days >= ALL_TIME_DAYS else f", half as much {days:g} days ago"
    return f"{words}; {'no markets' if prior is None else f'markets with a prior of {prior:g}'}"
