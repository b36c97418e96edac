"""Words for what is measured: lists, audiences and figures as tables call them."""

from models.audiences import ANONYMOUS, COLD, NEW_ITEMS, NEWCOMERS, ONLY_NEW
from models.baselines import ALS, EASE, KNN
from models.evaluate import CANDIDATES, MODEL, POPULARITY, RECENT, SEGMENT

LISTS = {
    POPULARITY: "popularity",
    RECENT: "recent popularity",
    SEGMENT: "segment popularity",
    KNN: "item-kNN (implicit)",
    ALS: "ALS (implicit)",
    EASE: "EASE (cornac)",
    CANDIDATES: "candidates alone",
    MODEL: "the model",
}
"""Lists in the order of tables, by name."""

FIGURES = {
    "ndcg@10": "NDCG@10",
    "recall@10": "Recall@10",
    "mrr@10": "MRR@10",
    "hitrate@10": "HitRate@10",
    "coverage@10": "coverage@10",
    "novelty@10": "novelty, bits",
    "gini@10": "Gini",
}

TEMPORAL = "temporal"
LEFT_OUT = "leave_last_out"

SPLITS = {
    TEMPORAL: "Split in time: the last tenth judges",
    LEFT_OUT: "Leave last out: what each shopper wanted last judges (leaks the future)",
}

HISTORY = "shoppers with a history of five items or more"
AUDIENCES = {
    COLD: "cold shoppers: one to four items",
    NEWCOMERS: "newcomers: nothing but where they live and the hour",
    ANONYMOUS: "anonymous: a session's last clicks, no name",
    NEW_ITEMS: "new items among all items",
    ONLY_NEW: "new items when only those may be shown",
}
