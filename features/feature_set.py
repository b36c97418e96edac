"""The features of a process: views that were checked, in one order, under one hash.

    CUVEE_FEATURES, or features/definitions.py ─ VIEWS ─ checked ─ FeatureSet

The hash binds training sets, bundles and servers together: it changes with all that decides a
value, and with nothing else.
"""

import json
import math
import re
import runpy
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from types import FunctionType
from typing import cast

import numpy as np

from features.errors import InputError
from features.feature import (
    COUNTS,
    LARGEST,
    LONGEST_S,
    Aggregation,
    Dtype,
    Entity,
    Feature,
    FeatureView,
    OnDemand,
    Profile,
    Recency,
    Window,
)
from features.function_code import UnknownCodeError, code_of
from features.history import GRADED_ITEMS, HISTORY_CAP, RECENT_CAP, RECENT_TYPES
from features.moments import Moment, Moments

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_ABOUT = frozenset(("description", "owner"))
"""What is said of a feature that changes none of its values."""


class DefinitionError(InputError):
    """Declarations that cannot be used; each line of the message names one mistake."""


@dataclass(frozen=True)
class FeatureSet:
    """Views without mistakes."""

    views: tuple[FeatureView, ...]

    @classmethod
    def of(cls, views: object) -> "FeatureSet":
        """Return the set of `views`; raise `DefinitionError` naming every mistake."""
        mistakes = list(_mistakes(views))
        if mistakes:
            raise DefinitionError("\n".join(mistakes))
        return cls(tuple(cast("Sequence[FeatureView]", views)))

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """Every feature, in the order of a vector's columns."""
        return tuple(feature for view in self.views for feature in view.features)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of `features`."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def codes(self) -> dict[str, str]:
        """A hash, 8 hex digits, of what decides the values of each feature, by its name."""
        return {
            feature.name: _hash([view.entity.join_key, view.ttl_s, _decisive(feature)], 4)
            for view in self.views
            for feature in view.features
        }

    @cached_property
    def schema_hash(self) -> str:
        """The hash, 16 hex digits, of everything that decides a vector's values."""
        declared = {
            "caps": [RECENT_CAP, HISTORY_CAP, GRADED_ITEMS],
            "views": [
                [view.name, view.entity.join_key, view.ttl_s, [*map(_decisive, view.features)]]
                for view in self.views
            ],
        }
        return _hash(declared, 8)

    def view_of(self, name: str) -> FeatureView:
        """Return the view that declares feature `name`; raise `KeyError` where none does."""
        for view in self.views:
            if any(feature.name == name for feature in view.features):
                return view
        raise KeyError(name)


def load(path: Path) -> FeatureSet:
    """Return the features that the Python file at `path` declares in `VIEWS`.

    Raises `DefinitionError` where it cannot be run, or declares what cannot be.
    """
    try:
        return FeatureSet.of(runpy.run_path(str(path)).get("VIEWS"))
    except DefinitionError as error:
        lines = str(error).splitlines()
        raise DefinitionError("\n".join(f"{path}: {line}" for line in lines)) from None
    except (Exception, SystemExit) as error:  # whatever the file does
        if isinstance(error, OSError) and error.filename in {str(path), str(path.absolute())}:
            raise DefinitionError(f"{path}: cannot be read: {error.strerror}") from error
        line = error.lineno if isinstance(error, SyntaxError) else _line_in(path, error)
        where = f", line {line}" if line else ""
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise DefinitionError(f"{path}{where}: {reason}") from error


def _line_in(path: Path, error: BaseException) -> int | None:
    """Return the line of the file at which it failed, None where it has not begun."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((each.lineno for each in reversed(frames) if each.filename == str(path)), None)


def _hash(told: object, size: int) -> str:
    text = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=size).hexdigest()


def _decisive(feature: Feature) -> dict[str, object]:
    """Return what decides a feature's values; of a function its code."""
    told: dict[str, object] = {"kind": type(feature).__name__}
    for field in fields(feature):
        value = getattr(feature, field.name)
        if field.name not in _ABOUT:
            told[field.name] = code_of(value) if isinstance(value, FunctionType) else value
    return told


def _mistakes(views: object) -> Iterator[str]:
    if not isinstance(views, Sequence) or not all(isinstance(v, FeatureView) for v in views):
        yield f"VIEWS: expected a tuple of FeatureView, got {views!r:.80}"
        return
    uneven = [view for view in views if not isinstance(view.features, Sequence)]
    for view in uneven:
        expected = "expected a tuple (of one feature: with a comma behind it)"
        yield f"view {view.name}: features: {expected}, got {view.features!r:.80}"
    if uneven:
        return
    if not any(view.features for view in views):
        yield "VIEWS: expected at least one feature, got none"
    for view in views:
        yield from _mistakes_of_view(view)
    features = [each for view in views for each in view.features if isinstance(each, Feature)]
    for name, count in Counter(feature.name for feature in features).items():
        if count > 1:
            yield f"{name}: declared {count} times; every feature needs a name of its own"
    for name, count in Counter(view.name for view in views).items():
        if count > 1:
            yield f"view {name}: declared {count} times"


def _mistakes_of_view(view: FeatureView) -> Iterator[str]:
    where = f"view {view.name}"
    if not _NAME.fullmatch(str(view.name)):
        yield f"{where}: expected a name of lower case letters, digits and _, at most 63"
    for what in ("owner", "description"):
        if not getattr(view, what):
            yield f"{where}: {what}: expected a text"
    if not isinstance(view.entity, Entity):
        yield f"{where}: entity: expected an Entity, got {view.entity!r:.80}"
    elif view.entity.join_key != "user_id":
        yield f"{where}: entity: expected one joined by user_id, got {view.entity.join_key!r:.80}"
    if not _is_whole(view.ttl_s) or not 0 < view.ttl_s <= LONGEST_S:
        yield f"{where}: ttl_s: expected 1 to {LONGEST_S} (399 days), got {view.ttl_s!r:.40}"
    for feature in view.features:
        if not isinstance(feature, Feature):
            yield f"{where}: expected features, got {feature!r:.80}"
        else:
            yield from (f"{where}: {feature.name}: {told}" for told in _mistakes_of(feature, view))


def _mistakes_of(feature: Feature, view: FeatureView) -> Iterator[str]:
    if not _NAME.fullmatch(str(feature.name)):
        yield "expected a name of lower case letters, digits and _, at most 63"
    if feature.dtype not in set(Dtype):
        yield f"dtype: expected one of {', '.join(Dtype)}; got {feature.dtype!r:.40}"
    if not feature.description:
        yield "description: expected a sentence"
    bounds = (feature.low, feature.default, feature.high)
    if not all(isinstance(each, int | float) for each in bounds) or any(map(math.isnan, bounds)):
        yield f"expected numbers for low, default and high, got {bounds!r:.80}"
    elif not feature.low <= feature.default <= feature.high:
        yield f"default: expected {feature.low} to {feature.high}, got {feature.default}"
    else:
        yield from _mistakes_of_type(feature)
    if isinstance(feature, OnDemand):
        yield from _mistakes_of_function(feature)
    elif not isinstance(feature, Profile):
        yield from _mistakes_of_events(feature, view)


def _mistakes_of_type(feature: Feature) -> Iterator[str]:
    """Yield why its numbers are not of its type: training sets hold them as such, serving as is."""
    dtype, default = feature.dtype, feature.default
    is_whole = dtype != Dtype.FLOAT
    if is_whole and isinstance(feature, Recency):
        yield f"dtype: expected float, as seconds have fractions; got {dtype}"
    elif is_whole and isinstance(feature, Window) and feature.aggregation not in COUNTS:
        yield f"dtype: expected float, as a {feature.aggregation} has fractions; got {dtype}"
    elif is_whole and not float(default).is_integer():
        yield f"default: expected a whole number, as the dtype is {dtype}, got {default}"
    elif abs(default) > LARGEST:
        yield f"default: expected at most {LARGEST:g}, what a float32 holds; got {default}"
    if dtype == Dtype.BOOL and not 0 <= feature.low <= feature.high <= 1:
        told = f"{feature.low} to {feature.high}"
        yield f"low, high: expected 0 to 1, as the dtype is bool, got {told}"


def _mistakes_of_events(feature: Window | Recency, view: FeatureView) -> Iterator[str]:
    if not isinstance(feature.types, tuple):
        yield f"types: expected a tuple of event types, got {feature.types!r:.80}"
        return
    forgotten = [str(each) for each in feature.types if each not in RECENT_TYPES]
    if not feature.types or forgotten:
        known = ", ".join(sorted(RECENT_TYPES))
        yield f"types: expected some of {known}; got {', '.join(forgotten) or 'none'}"
    if isinstance(feature, Recency):
        if feature.default > view.ttl_s:
            yield f"default: expected at most {view.ttl_s}, the view's ttl_s, got {feature.default}"
        return
    if feature.aggregation not in set(Aggregation):
        yield f"aggregation: expected one of {', '.join(Aggregation)}; got {feature.aggregation!r}"
    if not _is_whole(feature.seconds) or not 0 < feature.seconds <= view.ttl_s:
        yield (
            f"seconds: expected 1 to {view.ttl_s}, the view's ttl_s, beyond which nothing is "
            f"kept; got {feature.seconds!r:.40}"
        )


def _mistakes_of_function(feature: OnDemand) -> Iterator[str]:
    if not isinstance(feature.compute, FunctionType) or feature.compute.__name__ == "<lambda>":
        expected = "a function that was written with def: the hash of the features is made of it"
        yield f"compute: expected {expected}; got {feature.compute!r:.80}"
        return
    try:
        code_of(feature.compute)
    except UnknownCodeError as error:
        yield f"compute: {error}"
    for count in (0, 2):
        moments = Moments.of([Moment(1_760_000_000_000)] * count)
        try:
            told = np.asarray(feature.compute(moments), np.float64)
        except Exception as error:  # noqa: BLE001 - whatever it does
            yield f"compute: of {count} moments: {type(error).__name__}: {error}"
        else:
            if told.shape != (count,):
                yield f"compute: expected {count} numbers for as many moments, got {told.shape}"


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
