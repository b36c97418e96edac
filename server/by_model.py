"""Requests by the model that each is for: one run each while models are swapped or on trial."""

from collections.abc import Iterator, Sequence

from models.model import Model
from models.request import RankRequest


def by_model(
    asked: Sequence[tuple[Model, RankRequest]],
) -> Iterator[tuple[Model, Sequence[int], list[RankRequest]]]:
    """Yield each model with the places of its requests in `asked`, and these."""
    models = {id(model): model for model, _ in asked}
    for model in models.values():
        places: Sequence[int] = range(len(asked))
        if len(models) > 1:
            places = [place for place, (each, _) in enumerate(asked) if each is model]
        yield model, places, [asked[place][1] for place in places]
