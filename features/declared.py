"""The features of this process: those of the file that CUVEE_FEATURES names, else our own.

Decided once, when they are imported first: what was trained, what is kept online and what is
served must be of one declaration.
"""

import os
from pathlib import Path
from typing import Final

from features.definitions import VIEWS
from features.feature_set import FeatureSet, load

VARIABLE: Final = "CUVEE_FEATURES"


def _declared() -> FeatureSet:
    path = os.environ.get(VARIABLE)
    return load(Path(path)) if path else FeatureSet.of(VIEWS)


FEATURE_SET: Final = _declared()
FEATURES: Final = FEATURE_SET.features
FEATURE_NAMES: Final = FEATURE_SET.names
