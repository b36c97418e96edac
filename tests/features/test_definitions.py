"""The features of our own: what was promised is there, and bound by a hash that notices change."""

import pytest

from features.declared import FEATURE_NAMES, FEATURE_SET, FEATURES
from features.definitions import VIEWS
from features.feature_set import FeatureSet


def test_what_was_promised_is_declared() -> None:
    """The features that the service is known for are there, each with a sentence."""
    assert {
        "recent_click_count",
        "recent_purchase_count",
        "avg_session_duration",
        "time_since_last_action",
    } <= set(FEATURE_NAMES)
    assert all(feature.description.endswith(".") for feature in FEATURES)


def test_our_own_are_those_of_a_process_without_a_file() -> None:
    """In the order of their views."""
    own = FeatureSet.of(VIEWS)
    assert own == FEATURE_SET
    assert own.features == FEATURES


def test_the_hash_is_that_of_the_stored_bundles() -> None:
    """A change here is a change of the schema: old bundles are refused, on purpose."""
    assert FEATURE_SET.schema_hash == "5ced6470d4708bb6"


@pytest.mark.parametrize("name", FEATURE_NAMES)
def test_every_feature_has_a_view(name: str) -> None:
    """It is found by its name."""
    assert name in {feature.name for feature in FEATURE_SET.view_of(name).features}
