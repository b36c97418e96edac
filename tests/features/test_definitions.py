"""The declared features: well-formed, and bound by a hash that notices every change."""

from dataclasses import replace

import pytest

from features.definitions import FEATURE_NAMES, FEATURES, Feature, Recency, Window, schema_hash


def test_features_are_told_apart_by_name() -> None:
    """No two features share a name, and each says what it means."""
    assert len(set(FEATURE_NAMES)) == len(FEATURES)
    assert all(feature.description.endswith(".") for feature in FEATURES)
    assert all(feature.kind == type(feature).__name__.lower() for feature in FEATURES)


def test_what_was_promised_is_declared() -> None:
    """The features that the service is known for are there."""
    assert {
        "recent_click_count",
        "recent_purchase_count",
        "avg_session_duration",
        "time_since_last_action",
    } <= set(FEATURE_NAMES)


def test_windows_and_recencies_look_at_something() -> None:
    """Each has event types and a span."""
    for feature in FEATURES:
        if isinstance(feature, Window | Recency):
            assert feature.types
        if isinstance(feature, Window):
            assert feature.seconds > 0


def test_the_hash_is_that_of_the_stored_bundles() -> None:
    """A change here is a change of the schema: old bundles are refused, on purpose."""
    assert schema_hash() == "97bd8c1b94c45be3"


@pytest.mark.parametrize("row", range(len(FEATURES)))
def test_any_change_of_a_feature_changes_the_hash(row: int) -> None:
    """Name, default, order and presence of every feature count."""
    feature: Feature = FEATURES[row]
    changed: list[tuple[Feature, ...]] = [
        (*FEATURES[:row], other, *FEATURES[row + 1 :])
        for other in (replace(feature, name="x"), replace(feature, default=-1.5))
    ]
    changed.append((*FEATURES[:row], *FEATURES[row + 1 :]))
    changed.append((feature, *FEATURES[:row], *FEATURES[row + 1 :]) if row else FEATURES[::-1])

    hashes = {schema_hash(features) for features in changed}

    assert len(hashes) == 4
    assert schema_hash() not in hashes


def test_the_caps_are_part_of_the_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ring of another length is another definition."""
    before = schema_hash()
    monkeypatch.setattr("features.definitions.RECENT_CAP", 199)

    assert schema_hash() != before
