"""Newcomers judged over most of the past: of a single tenth there are too few.

Those of each tenth are shown what those of the tenths before it chose, from what was known when it
began: a rolling origin (Tashman, International Journal of Forecasting, 2000). None of them decided
what they are shown; the last tenth is among them.
"""

from collections.abc import Sequence

from models.evaluate import MODEL, POPULARITY, RECENT, SEGMENT, Figures
from models.metrics import quality
from models.newcomers import Newcomers, Trials
from models.parts import Rows
from models.popularity import ALL_TIME_DAYS, RECENT_DAYS
from models.segment_table import GLOBAL_NAME, MARKET
from models.segments import Codes, Crowds


def rolling_figures(spans: Sequence[Newcomers], markets: Codes) -> Figures:
    """Return the figures of the newcomers of all spans but the first.

    `spans` are in order of time, `markets` int32[shoppers] is where each lives, -1 for unknown.
    """
    trials = Trials(spans, markets)
    lists: dict[str, list[Rows]] = {POPULARITY: [], RECENT: [], SEGMENT: []}
    wanted: list[Rows] = []
    segments: list[str] = []
    for number, asked in enumerate(spans[1:], start=1):
        chosen = trials.best(number)
        lists[POPULARITY] += asked.lists(Crowds(ALL_TIME_DAYS, None, None), markets)
        lists[RECENT] += asked.lists(Crowds(RECENT_DAYS, None, None), markets)
        lists[SEGMENT] += asked.lists(chosen, markets)
        wanted += asked.wanted
        segments += _segments(asked, chosen, markets)
    lists[MODEL] = lists[SEGMENT]
    met = spans[-1].known.met()
    return Figures(
        {name: quality(each, wanted, met) for name, each in lists.items()}, tuple(segments)
    )


def _segments(asked: Newcomers, crowds: Crowds, markets: Codes) -> list[str]:
    """Return where each newcomer is: in some market, or in no segment."""
    lives = (markets[asked.users] >= 0).tolist()
    there_are = crowds.market_prior is not None
    return [MARKET if there_are and each else GLOBAL_NAME for each in lives]
