"""The features of this process: those of the file that CUVEE_FEATURES names, else our own.

Decided once, when they are imported first: what was trained, what is kept online and what is
served must be of one declaration.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from features.definitions import VIEWS
from features.feature_set import FeatureSet, load
from features.named_file import named_by

VARIABLE: Final = "CUVEE_FEATURES"


FEATURES_FILE: Final = os.environ.get(VARIABLE) or None
"""The file they are of, None for our own."""


def _declared() -> FeatureSet:
    if not FEATURES_FILE:
        return FeatureSet.of(VIEWS)
    with named_by(VARIABLE):
        return load(Path(FEATURES_FILE))


def why_others(
    file: str | None, codes: Mapping[str, str], anew: str, here: str | None = FEATURES_FILE
) -> str:
    """Return why what was made with the features of `file` does not fit those `here`, and the cure.

    None stands for our own features; `codes` are theirs (`FeatureSet.codes`), empty where they were
    not kept; `anew` says how it is made again.
    """
    cure = _cure(file, anew, here)
    return f"{told}; {cure}" if (told := what_differs(codes)) else cure


def what_differs(codes: Mapping[str, str]) -> str:
    """Return which features are not what `codes` say, by name; empty where none is known to be."""
    here = FEATURE_SET.codes if codes else {}
    told = (
        ("changed", [name for name in codes if here.get(name, codes[name]) != codes[name]]),
        ("not there now", [name for name in codes if name not in here]),
        ("new", [name for name in here if name not in codes]),
    )
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in told if names)


def _cure(file: str | None, anew: str, here: str | None) -> str:
    if file and not here:
        return f"it was made with {VARIABLE}={file}, which is not set here: set it, or {anew}"
    if file and file != here:
        return f"it was made with {VARIABLE}={file}, here with {here}: name that file, or {anew}"
    if file:
        return f"{file} ({VARIABLE}) is not what it was then: bring it back, or {anew}"
    if here:
        return f"it was made without {VARIABLE}, here with {here}: unset it, or {anew}"
    return f"this program has other features than the one that made it: {anew}"


FEATURE_SET: Final = _declared()
FEATURES: Final = FEATURE_SET.features
FEATURE_NAMES: Final = FEATURE_SET.names
