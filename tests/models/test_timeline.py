"""Windows of a past: who is judged in them, and of whom a ranker learns."""

from models.examples import examples_of
from models.model import Model
from models.timeline import VALIDATION, Timeline
from models.window import LEAST_HISTORY
from tests.support.histories import tasteful, wines


def test_a_ranker_learns_from_shorter_histories_than_are_judged() -> None:
    """Of half of the shoppers less than what is judged is known: they teach all the same."""
    timeline = Timeline(tasteful(bought=6), wines(60), 0)
    window = timeline.window(VALIDATION)
    assert window.known.counts()[window.users].min() >= LEAST_HISTORY
    judged = examples_of(Model(timeline.parts(VALIDATION)), window)
    learnt = timeline.examples(VALIDATION)
    assert len(learnt.sizes) > 1.5 * len(judged.sizes) > 0
    assert timeline.examples(VALIDATION) is learnt
