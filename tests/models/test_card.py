"""Cards and differences: what a manifest says, and nothing else."""

from dataclasses import replace

from models.card import model_card
from models.manifest import FileSum, Manifest, Signature
from models.manifest_diff import Difference, differences

FIGURES = {"ndcg@10": 0.17, "ndcg@10_low": 0.16, "ndcg@10_high": 0.18, "users": 40}
WHOLE = Manifest(
    version="",
    created="2026-11-23T10:15:00+00:00",
    schema_hash="0123",
    dataset_version="events@3",
    items=7,
    files={"items.json": FileSum.of(b"[]"), "tower.onnx": FileSum.of(b"tower")},
    metrics={
        "model": FIGURES,
        "segment_popularity": {"ndcg@10": 0.12, "users": 40},
        "segments": {"type=Red|White": {"ndcg@10": 0.2, "users": 9}},
        "gain": {"segment_popularity": {"ndcg@10": 0.05, "se": 0.004}},
        "export": {"tower": {"top10_overlap": 1.0}},
        "beats_segments": True,
    },
    parameters={"rank": 32, "shoppers": 40, "choices": {"taste": "type"}},
    code_revision="0.1.0+git.1f2e3d4c5b6a",
).versioned()


def test_a_card_says_what_the_manifest_says() -> None:
    """Data, figures with intervals, segments, lineage, files."""
    card = model_card(WHOLE)
    assert card.startswith(f"# Model {WHOLE.version}\n")
    for line in (
        "| dataset version | events@3 |",
        "| shoppers | 40 |",
        "| model | 0.17 | 0.16 to 0.18 | 40 |",
        "| segment popularity | 0.12 |  | 40 |",
        "### segments",
        "| type=Red\\|White | 0.2 |  | 9 |",
        "| segment popularity | 0.05 | 0.004 |",
        "| choices.taste | type |",
        "| code revision | 0.1.0+git.1f2e3d4c5b6a |",
        "| served when it was made | none told |",
        "| signed with key | not signed |",
        f"| tower.onnx | 5 | {FileSum.of(b'tower').sha256} |",
        "- No ranker: candidates are shown in the order in which they were found.",
        "- tower: top10 overlap is 1.0 where it was exported.",
    ):
        assert line in card.splitlines()
    assert "Not better than" not in card


def test_a_card_hides_no_limit() -> None:
    """What was not measured, not better or not personal says so."""
    bare = replace(WHOLE, metrics={}, files={"items.json": FileSum.of(b"[]")})
    card = model_card(bare)
    assert "The manifest holds no figures: it was not judged." in card
    assert "- Not measured: nothing is known of its quality." in card
    assert "- No personal part: shoppers of a segment get the same list." in card
    assert "a list for each shopper" not in card
    worse = replace(WHOLE, metrics={**WHOLE.metrics, "beats_segments": False})
    assert "- Not better than segment popularity by more than two" in model_card(worse)
    signed = replace(WHOLE, signature=Signature("abcd", "00"))
    assert "| signed with key | abcd |" in model_card(signed)


def test_equal_manifests_do_not_differ() -> None:
    """When it was made is no difference."""
    later = replace(WHOLE, created="2026-11-24T10:15:00+00:00").versioned()
    assert differences(WHOLE, later) == []


def test_differences_are_found_in_every_part() -> None:
    """Data, parameters, metrics, files; what is on one side only, too."""
    other = replace(
        WHOLE,
        dataset_version="events@4",
        parameters={"rank": 64, "shoppers": 40, "choices": {"taste": "type"}, "trees": 40},
        metrics={**WHOLE.metrics, "model": {**FIGURES, "ndcg@10": 0.18}},
        files={"items.json": FileSum.of(b"[]"), "tower.onnx": FileSum.of(b"other")},
    ).versioned()
    found = differences(WHOLE, other)
    assert found[:4] == [
        Difference("data", "dataset_version", "events@3", "events@4"),
        Difference("parameters", "rank", 32, 64),
        Difference("parameters", "trees", None, 40),
        Difference("metrics", "model.ndcg@10", 0.17, 0.18),
    ]
    assert [(each.part, each.name) for each in found[4:]] == [("files", "tower.onnx")]
