"""What decides who stands where in lists of one model's items."""

from collections.abc import Sequence

from models.items import Items
from models.parts import Floats
from models.personal import PersonalRanker
from models.rules.arrange import Contest, Filled, fill
from models.rules.asked import Asked
from models.rules.compiled import Arrangement
from models.rules.contenders import Contenders
from models.rules.reserved import Reserved


class Contests:
    """The contests of one model."""

    def __init__(self, items: Items, personal: PersonalRanker | None) -> None:
        """Decide among `items`; without a personal part with no regard to variety."""
        self._items = items
        self._personal = personal

    def decide(
        self,
        arrangement: Arrangement,
        contenders: Contenders,
        reserved: Reserved,
        asked: Sequence[Asked],
        penalties: Floats | None = None,
    ) -> Filled:
        """Return who stands where, by all rules of the arrangement."""
        rules, rows = arrangement.rules, contenders.rows
        various = self._personal if rules.diversity > 0 else None
        return fill(
            Contest(
                contenders.scores,
                reserved.places,
                None if arrangement.lifts is None else arrangement.lifts.take(rows),
                penalties,
                None if arrangement.caps is None else self._items.categories_of(rows),
                arrangement.caps,
                None if various is None else various.directions(rows),
                0.0 if various is None else rules.diversity,
                None if rules.rotation is None else rules.rotation.strength,
                () if rules.rotation is None else tuple(each.seed for each in asked),
            )
        )
