"""Where a list is shown and when, as a storefront's rules go by it."""

from models.model import Model
from models.request import Spot
from server.query import Query


def spot_of(query: Query, model: Model) -> Spot:
    """Return the spot of a request, with the rules that hold for it in a model."""
    page, user_id = query.page, query.user_id
    turn = model.turn(page, user_id, query.context.timestamp)
    return Spot(page, turn._replace(after=query.after) if query.shown else turn, user_id)
