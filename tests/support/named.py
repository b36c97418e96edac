"""A shop whose wines have names, as people call them; one means harm by its id, one by its name."""

from dataclasses import replace

import numpy as np

from models.item_table import Texts
from models.parts import Parts
from models.ranker_features import RANKER_FEATURES
from tests.support.bundles import small_parts

HARM = "<img src=x onerror=\"document.title='harmed'\">"
"""An id, or a name, that would run if it ever became markup."""

HARMFUL_ID = 2
HARMFUL_NAME = 4
UNNAMED = 5

_HOUSES = (
    "Château Margelle",
    "Domaine du Verger",
    "Weingut Halde",
    "Tenuta Serralta",
    "Quinta Alva",
)
_WINES = (
    "Grande Réserve",
    "Vieilles Vignes",
    "Steillage",
    "Riserva",
    "Colheita",
    "Blanc de Blancs",
)


def named_parts(items: int = 30, seed: int = 7) -> Parts:
    """Return small parts, named but for one."""
    ids = [f"wine-{row:04d}" for row in range(items)]
    names = [f"{_HOUSES[row % 5]} {_WINES[row % 6]} {2012 + row % 9}" for row in range(items)]
    ids[HARMFUL_ID] = HARM
    names[HARMFUL_NAME] = HARM
    names[UNNAMED] = ""
    weights = np.zeros(len(RANKER_FEATURES), np.float32)
    weights[0] = 1
    parts = small_parts(items, ids=ids, weights=weights, seed=seed)
    return replace(parts, items=replace(parts.items, names=Texts.of(names)))
