"""Cards and differences: what a manifest says, and nothing else."""

from dataclasses import replace
from typing import Any

from models.card import model_card
from models.manifest import FileSum, Manifest, Signature
from models.manifest_diff import Difference, differences
from models.validated import VALIDATED, Validation

OTHERS = {
    "recall@10": 0.28,
    "mrr@10": 0.18,
    "hitrate@10": 0.43,
    "coverage@10": 0.2,
    "novelty@10": 7.7,
    "gini@10": 0.9,
}


def figures(ndcg: float, users: int = 40) -> dict[str, float]:
    """Return the figures of one list."""
    within = {"ndcg@10_low": ndcg - 0.01, "ndcg@10_high": ndcg + 0.01}
    return {"ndcg@10": ndcg, **within, **OTHERS, "users": users}


def audience(model: float, popularity: float, users: int = 40) -> dict[str, Any]:
    """Return the figures of an audience; an error is a hundredth."""
    gain = {"ndcg@10": model - popularity, "se": 0.01}
    lists = {"model": figures(model, users), "popularity": figures(popularity, users)}
    return {**lists, "gain": {"popularity": gain}, "unsegmented": 0}


WHOLE = Manifest(
    version="",
    created="2026-11-23T10:15:00+00:00",
    schema_hash="0123",
    dataset_version="events@3",
    items=7,
    files={"items.json": FileSum.of(b"[]"), "tower.onnx": FileSum.of(b"tower")},
    metrics={
        **audience(0.17, 0.12),
        "audiences": {
            "anonymous": audience(0.1, 0.04),
            "newcomers": audience(0.05, 0.04, 20),
        },
        "by_segment": {
            "a small one": {"users": 20, "model": {"ndcg@10": 0.3}, "popularity": {"ndcg@10": 0}},
            "type=Red|White": {
                "users": 30,
                "model": {"ndcg@10": 0.2},
                "popularity": {"ndcg@10": 0.1},
            },
        },
        "export": {"tower": {"top10_overlap": 1.0}},
        "beats_segments": True,
    },
    parameters={"rank": 32, "shoppers": 40, "choices": {"taste": "type"}},
    code_revision="0.1.0+git.1f2e3d4c5b6a",
).versioned()


def test_a_card_says_what_the_manifest_says() -> None:
    """Data, figures with intervals, segments, lineage, files."""
    card = model_card(WHOLE)
    others = "0.2800 | 0.1800 | 0.4300 | 0.2000 | 7.7000 | 0.9000"
    assert card.startswith(f"# Model {WHOLE.version}\n")
    for line in (
        "| dataset version | events@3 |",
        "| shoppers | 40 |",
        "### Shoppers with a history of five items or more: 40 judged",
        f"| the model | 0.1700 | {others} | 0.1600 to 0.1800 |  |",
        f"| popularity | 0.1200 | {others} | 0.1100 to 0.1300 | +0.0500 ±0.0100 |",
        "### Newcomers: nothing but where they live and the hour: 20 judged",
        "| type=Red\\|White | 30 | 0.1000 | 0.2000 |",
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
    assert card.index("type=Red") < card.index("a small one")  # whatever the manifest's order


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
    limits = model_card(WHOLE).partition("## Limits")[2]
    assert "hour: the model is not told apart from popularity: +0.0100, 95 % from -0" in limits
    assert "Anonymous" not in limits
    span = ("2026-01-01T00:00:00+00:00", "2026-01-08T00:00:00+00:00")
    beside = Validation("v1", 90, *span, 0.02, 0.1, 0.12, 0.02, -0.01, 0.04).told()
    card = model_card(replace(WHOLE, metrics={**WHOLE.metrics, VALIDATED: beside}))
    assert "not surely as good: NDCG@10 0.1200 after 0.1000 of v1" in card
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
        metrics={**WHOLE.metrics, "model": {**figures(0.17), "ndcg@10": 0.18}},
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
