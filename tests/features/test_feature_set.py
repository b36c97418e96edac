"""A set of features: every mistake named, every change of a value noticed, files of one's own."""

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.computation.plan import Plan
from features.computation.slices import Slices
from features.computation.vector import feature_vectors
from features.declared import FEATURE_SET, what_differs, why_others
from features.definitions import BEHAVIOUR, SHOPPER, VIEWS
from features.events import EventType
from features.feature import (
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
from features.feature_set import DefinitionError, FeatureSet, load
from features.moments import Moment, Moments
from features.on_demand import hour, month

CLICKS = Window("clicks", Aggregation.COUNT, (EventType.CLICK,), 60, "Clicks.")
NO_SOURCE: Any = np.sin
ROOT = Path(__file__).parents[2]
OWN = """
from features.definitions import SHOPPER, VIEWS as OURS
from features.feature import FeatureView, OnDemand

SCALE = 2.0

def minute(moments):
    return moments.as_of_ms // 60_000 % 60 * SCALE

OWN = OnDemand("minute", minute, "Minute of the hour, doubled.", high=118)
VIEWS = (*OURS, FeatureView("own", SHOPPER, (OWN,), 60, "us", "Ours."))
"""


def view(*features: Any, **changes: Any) -> FeatureView:
    """Return a view of `features`, with `changes`."""
    plain = FeatureView("v", SHOPPER, features, 3_600, "us", "Of a test.")
    return replace(plain, **changes)


def changed(feature: Any, **values: Any) -> Any:
    """Return `feature` with values of a wrong type."""
    return replace(feature, **values)


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        (3, "VIEWS: expected a tuple of FeatureView, got 3"),
        ((CLICKS,), "VIEWS: expected a tuple of FeatureView, got (Window("),
        ((), "VIEWS: expected at least one feature, got none"),
        ((view(),), "VIEWS: expected at least one feature, got none"),
        ((view(3),), "view v: expected features, got 3"),
        (
            (replace(view(), features=changed(CLICKS)),),
            "view v: features: expected a tuple (of one feature: with a comma behind it), got",
        ),
        ((view(CLICKS), view(replace(CLICKS, name="x"))), "view v: declared 2 times"),
        ((view(CLICKS), view(CLICKS, name="w")), "clicks: declared 2 times"),
        ((view(CLICKS, name="V-1"),), "view V-1: expected a name of lower case letters"),
        (
            (view(CLICKS, ttl_s=0),),
            "view v: ttl_s: expected 1 to 34473600 (399 days), got 0",
        ),
        ((view(CLICKS, ttl_s=400 * 86_400),), "view v: ttl_s: expected 1 to 34473600"),
        ((view(CLICKS, owner=""),), "view v: owner: expected a text"),
        ((view(CLICKS, description=""),), "view v: description: expected a text"),
        ((view(CLICKS, entity="shopper"),), "view v: entity: expected an Entity, got 'shopper'"),
        (
            (view(CLICKS, entity=Entity("item", "item_id", "What is sold.")),),
            "view v: entity: expected one joined by user_id, got 'item_id'",
        ),
    ],
)
def test_views_that_cannot_be_are_told(views: Any, expected: str) -> None:
    """Each mistake with the view, the field, what was there and what was expected."""
    with pytest.raises(DefinitionError) as refused:
        FeatureSet.of(views)
    assert str(refused.value).startswith(expected)


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        (replace(CLICKS, name="Clicks"), "Clicks: expected a name of lower case letters"),
        (replace(CLICKS, description=""), "description: expected a sentence"),
        (replace(CLICKS, default=-1), "default: expected 0.0 to inf, got -1"),
        (replace(CLICKS, default=math.nan), "expected numbers for low, default and high"),
        (changed(CLICKS, high="much"), "expected numbers for low, default and high"),
        (replace(CLICKS, types=()), "types: expected some of add_to_cart, click"),
        (replace(CLICKS, types=(EventType.IMPRESSION,)), "got impression"),
        (replace(CLICKS, seconds=3_601), "seconds: expected 1 to 3600, the view's ttl_s"),
        (changed(CLICKS, seconds=1.5), "seconds: expected 1 to 3600"),
        (changed(CLICKS, aggregation="median"), "aggregation: expected one of count, sum"),
        (
            Recency("r", (EventType.CLICK,), "Since.", default=3_601),
            "default: expected at most 3600",
        ),
        (changed(OnDemand("o", hour, "Of nothing."), compute=3), "compute: expected a function"),
        (
            OnDemand("o", NO_SOURCE, "Sine."),
            "a function that was written with def",
        ),
    ],
)
def test_features_that_cannot_be_are_told(feature: Any, expected: str) -> None:
    """Among them a window longer than what is kept, and what is not kept at all."""
    with pytest.raises(DefinitionError) as refused:
        FeatureSet.of((view(feature),))
    assert expected in str(refused.value)
    assert str(refused.value).startswith(f"view v: {feature.name}: ")


def of(aggregation: Aggregation, **values: Any) -> Window:
    """Return an aggregate of clicks."""
    return replace(CLICKS, aggregation=aggregation, **{"dtype": Dtype.FLOAT, **values})


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        (of(Aggregation.SUM, dtype=Dtype.INT), "dtype: expected float, as a sum has fractions"),
        (of(Aggregation.MEAN, dtype="bool"), "dtype: expected float, as a mean has fractions"),
        (
            Recency("r", (EventType.CLICK,), "Since.", dtype=Dtype.INT),
            "dtype: expected float, as seconds have fractions; got int",
        ),
        (replace(CLICKS, default=0.5), "default: expected a whole number, as the dtype is int"),
        (
            Profile("p", "Half.", dtype=Dtype.INT, default=0.5),
            "default: expected a whole number, as the dtype is int, got 0.5",
        ),
        (Profile("p", "No end.", dtype=Dtype.INT, default=math.inf), "default: expected a whole"),
        (Profile("p", "Half.", dtype=Dtype.BOOL, default=0.5, high=1), "default: expected a whole"),
        (
            Profile("p", "Two.", dtype=Dtype.BOOL),
            "low, high: expected 0 to 1, as the dtype is bool",
        ),
        (Profile("p", "Much.", default=7, high=5), "default: expected 0.0 to 5, got 7"),
        (Profile("p", "No end.", default=math.inf), "default: expected at most 3.40282e+38"),
        (Profile("p", "None.", low=-math.inf, default=-1e39), "default: expected at most 3.4"),
    ],
)
def test_what_training_and_serving_would_tell_apart_is_told(feature: Any, expected: str) -> None:
    """A training set holds whole numbers as such: what is computed must be one."""
    with pytest.raises(DefinitionError) as refused:
        FeatureSet.of((view(feature),))
    assert str(refused.value).startswith(f"view v: {feature.name}: {expected}")


def _raises(moments: Moments) -> Any:
    return 1 / len(moments) if len(moments) else 1 / 0


def _too_many(_: Moments) -> Any:
    return np.zeros(7)


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        (OnDemand("o", lambda moments: moments.as_of_ms, "Lambda."), "written with def"),
        (OnDemand("o", _raises, "Raises."), "compute: of 0 moments: ZeroDivisionError"),
        (OnDemand("o", _too_many, "Seven."), "expected 2 numbers for as many moments, got (7,)"),
        (changed(CLICKS, types={EventType.CLICK}), "types: expected a tuple of event types"),
        (changed(OnDemand("o", hour, "Hour."), dtype="integer"), "dtype: expected one of float"),
    ],
)
def test_what_would_fail_later_is_told_now(feature: Any, expected: str) -> None:
    """Functions are tried; words must be those that are known."""
    with pytest.raises(DefinitionError) as refused:
        FeatureSet.of((view(feature),))
    assert expected in str(refused.value)


def test_words_are_taken_for_what_they_name() -> None:
    """A sum is a sum, however it is written."""
    told = changed(CLICKS, aggregation="distinct")
    assert told == replace(CLICKS, aggregation=Aggregation.DISTINCT)
    assert FeatureSet.of((view(told),)).features == (told,)
    half = Plan([changed(Profile("p", "Half."), dtype="float")])
    assert not half.other_is_whole.any()


def test_all_mistakes_are_told_at_once() -> None:
    """A line for each."""
    with pytest.raises(DefinitionError) as refused:
        FeatureSet.of((view(replace(CLICKS, seconds=0), replace(CLICKS, types=()), ttl_s=-1),))
    assert len(str(refused.value).splitlines()) == 5


def changes(feature: Feature) -> list[Feature]:
    """Return `feature` in ways that give other values."""
    told = [replace(feature, name="x"), replace(feature, default=feature.default + 0.5)]
    if isinstance(feature, Window):
        told.append(replace(feature, seconds=feature.seconds - 1))
    if isinstance(feature, OnDemand):
        told.append(replace(feature, compute=month if feature.compute is hour else hour))
    return told


@pytest.mark.parametrize("row", range(len(BEHAVIOUR.features)))
def test_what_decides_a_value_changes_the_hash(row: int) -> None:
    """Name, default, window, order and presence count; what is said about a feature does not."""
    own = BEHAVIOUR.features
    plain = FeatureSet((BEHAVIOUR,)).schema_hash

    def hashed(*features: Feature) -> str:
        return FeatureSet((replace(BEHAVIOUR, features=features),)).schema_hash

    others = {hashed(*own[:row], each, *own[row + 1 :]) for each in changes(own[row])}
    others |= {hashed(*own[:row], *own[row + 1 :]), hashed(*own[row:], *own[:row])} - (
        set() if row else {plain}
    )
    assert len(others) >= 3
    assert plain not in others
    assert hashed(*own[:row], replace(own[row], description="x"), *own[row + 1 :]) == plain


@pytest.mark.parametrize("feature", VIEWS[1].features, ids=lambda each: each.name)
def test_another_function_changes_the_hash(feature: OnDemand) -> None:
    """Its source counts, whatever it is called."""
    sets = {FeatureSet((view(each),)).schema_hash for each in (feature, *changes(feature))}
    assert len(sets) == 4


def test_how_a_function_is_laid_out_changes_nothing(tmp_path: Path) -> None:
    """Comments, white space and what is said about it decide no value."""
    plain, other = tmp_path / "plain.py", tmp_path / "other.py"
    plain.write_text(OWN)
    other.write_text(
        OWN.replace("moments):", 'moments ):  # of n\n    """Say so."""\n').replace(" // ", "//")
    )
    assert load(plain).schema_hash == load(other).schema_hash
    other.write_text(OWN.replace("60_000", "60_001"))
    assert load(plain).schema_hash != load(other).schema_hash


USES = """
import helpers
import numpy as np
from math import floor as rounded
from features import on_demand
from features.definitions import SHOPPER
from features.feature import FeatureView, OnDemand

SCALE = 2.0
TABLE = {"a": [1, 2], "b": (3, {4, 5})}
CALLED = {"how": lambda x: x + 1}
ARRAY = np.arange(9.0)
OBJECTS = (np.float64(1), None, frozenset("abcdefgh"))

def helper(x):
    return x * SCALE if SCALE else helper(x)

def inner(x):
    return x - 1

def made(size):
    def compute(moments, by=1000, *, plus=0):
        told = helper(moments.as_of_ms % size) + rounded(ARRAY[3]) + len(TABLE) + len(OBJECTS)
        told = told + np.array([inner(each) for each in moments.as_of_ms]) + on_demand.hour(moments)
        return CALLED["how"](told + helpers.doubled(moments.as_of_ms)) / by + plus
    return compute

VIEWS = (FeatureView("v", SHOPPER, (OnDemand("o", made(4), "O."),), 60, "us", "Ours."),)
"""
HELPERS = """
BASE = 2

def _own(x):
    return x * BASE

def doubled(x):
    return _own(x)

def unused(x):
    return x
"""


def hash_of_uses(folder: Path, own: str = USES, helpers: str = HELPERS) -> str:
    """Return the hash of a file of features, in a process that has no module of before."""
    (folder / "own.py").write_text(own)
    (folder / "helpers.py").write_text(helpers)
    told = "import sys; from features.declared import FEATURE_SET; print(FEATURE_SET.schema_hash)"
    path = os.pathsep.join((str(folder), str(ROOT)))
    return subprocess.run(
        [sys.executable, "-Bc", told],
        env=os.environ | {"CUVEE_FEATURES": str(folder / "own.py"), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.fixture(scope="module")
def hash_of_all(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the hash of `USES` as it is."""
    return hash_of_uses(tmp_path_factory.mktemp("uses"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("SCALE = 2.0", "SCALE = 3.0"),
        ("x * SCALE", "x * SCALE + 1"),
        ("made(4)", "made(5)"),
        ("[1, 2]", "[1, 3]"),
        ("{4, 5}", "{4, 6}"),
        ("x + 1", "x + 2"),
        ("arange(9.0)", "arange(1, 10.0)"),
        ("abcdefgh", "abcdefgi"),
        ("x - 1", "x - 2"),
        ("floor as", "ceil as"),
        ("by=1000", "by=1001"),
        ("plus=0", "plus=1"),
        ("on_demand.hour", "on_demand.month"),
        ("BASE = 2", "BASE = 3"),
        ("x * BASE", "x * BASE + 1"),
    ],
)
def test_what_a_function_uses_changes_the_hash(
    tmp_path: Path, hash_of_all: str, before: str, after: str
) -> None:
    """Values and functions of its module and of those it imports, and what it was made with."""
    assert before in USES + HELPERS
    texts = (USES.replace(before, after), HELPERS.replace(before, after))
    assert hash_of_uses(tmp_path, *texts) != hash_of_all


def test_what_a_function_does_not_use_changes_nothing(tmp_path: Path, hash_of_all: str) -> None:
    """Nor does another process, where texts hash otherwise."""
    other = HELPERS.replace("def unused(x)", "def unused_as_before(x)")
    assert hash_of_uses(tmp_path, helpers=other) == hash_of_all


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("SCALE = 2.0", "SCALE = object()", "SCALE: expected plain values, lists, dicts, sets"),
        ("SCALE = 2.0", "SCALE = {}.get", "SCALE: expected plain values"),
        ("SCALE = 2.0", "SCALE = np.array([object()])", "SCALE: expected plain values"),
        ("len(TABLE)", "len(helpers)", "helpers: expected a name of the module"),
        ("rounded(", "helpers.Own(", "helpers.Own: expected plain values"),
        (
            "    told = helper",
            "    import helpers\n        told = helper",
            "imports helpers itself",
        ),
    ],
)
def test_what_a_hash_cannot_tell_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str, expected: str
) -> None:
    """Objects, classes of one's own, and modules as a whole."""
    own = tmp_path / "own.py"
    own.write_text(USES.replace(before, after))
    (tmp_path / "helpers.py").write_text(HELPERS + "\nclass Own: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "helpers", raising=False)
    with pytest.raises(DefinitionError) as refused:
        load(own)
    assert expected in str(refused.value)
    monkeypatch.delitem(sys.modules, "helpers", raising=False)


def test_the_caps_are_part_of_the_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ring of another length is another definition."""
    before = FeatureSet(VIEWS).schema_hash
    monkeypatch.setattr("features.feature_set.RECENT_CAP", 199)
    assert FeatureSet(VIEWS).schema_hash != before


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    """It may add to ours; its functions see what else stands in it."""
    path = tmp_path / "own.py"
    path.write_text(OWN)
    told = load(path)
    assert told.names == (*FeatureSet(VIEWS).names, "minute")
    assert told.schema_hash == load(path).schema_hash != FeatureSet(VIEWS).schema_hash
    none = np.zeros(1, np.int64)
    records = np.empty(
        0, np.dtype([("ts", "<i8"), ("item", "<u8"), ("value", "<i4"), ("tag", "<u4")])
    )
    moments = Moments.of([Moment(90 * 60_000)])
    vectors = feature_vectors(records, Slices.whole(none, none), moments, told.features)
    assert vectors.values[0, -1] == 60


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "own.py: cannot be read: No such file or directory"),
        ("VIEWS = (", "own.py, line 1: SyntaxError"),
        ("import nowhere", "own.py, line 1: ModuleNotFoundError: No module named 'nowhere'"),
        ("X = 1", "own.py: VIEWS: expected a tuple of FeatureView, got None"),
        ("VIEWS = (3,)", "own.py: VIEWS: expected a tuple of FeatureView, got (3,)"),
        ("raise SystemExit(3)", "own.py, line 1: SystemExit: 3"),
        ("X = 1\nmin.click\n", "own.py, line 2: AttributeError: "),
    ],
)
def test_a_file_that_cannot_be_used_is_told(
    tmp_path: Path, text: str | None, expected: str
) -> None:
    """In one line, whatever is wrong with it."""
    path = tmp_path / "own.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DefinitionError) as refused:
        load(path)
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_told_as_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a path from here, too."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DefinitionError) as refused:
        load(Path("own.py"))
    assert str(refused.value) == "own.py: cannot be read: No such file or directory"


def test_moments_may_be_none() -> None:
    """No requests are no columns."""
    assert len(Moments.of([])) == 0


@pytest.mark.parametrize(
    ("made", "here", "expected"),
    [
        ("a.py", None, "made with CUVEE_FEATURES=a.py, which is not set here: set it, or X"),
        ("a.py", "b.py", "made with CUVEE_FEATURES=a.py, here with b.py: name that file, or X"),
        ("a.py", "a.py", "a.py (CUVEE_FEATURES) is not what it was then: bring it back, or X"),
        (None, "b.py", "made without CUVEE_FEATURES, here with b.py: unset it, or X"),
        (None, None, "this program has other features than the one that made it: X"),
    ],
)
def test_the_likely_cause_of_other_features_is_named(
    made: str | None, here: str | None, expected: str
) -> None:
    """A variable that was forgotten is the likeliest."""
    assert expected in why_others(made, {}, "X", here)


def test_features_that_are_others_are_named() -> None:
    """By what decides their values: words about them, and their order, are no difference."""
    codes = FEATURE_SET.codes
    assert what_differs(codes) == what_differs({}) == ""
    view, *others = VIEWS
    first, *rest = view.features
    reworded = replace(first, description="Said otherwise.")
    assert FeatureSet.of((replace(view, features=(*rest, reworded)), *others)).codes == codes

    gone, changed, *_ = codes
    was = {name: code for name, code in codes.items() if name != gone}
    was |= {changed: "00000000", "once": "00000000"}
    told = f"changed: {changed}; not there now: once; new: {gone}"
    assert what_differs(was) == told
    assert why_others(None, was, "X", None).startswith(f"{told}; this program")
