"""What both sides returned, held against what they had to return."""

import numpy as np
import polars as pl

from features.declared import FEATURE_SET


def checked(told: pl.DataFrame, expected: pl.DataFrame, key: str) -> dict[str, float]:
    """Return how many features each row of `told` has, how many values are known, and wrong.

    Rows are matched by `key`. Known is what is not the feature's default. A value that is missing,
    or whose row is, is wrong.
    """
    names = [name for name in FEATURE_SET.names if name in told.columns]
    joined = expected.select(key).join(told, on=key, how="left", maintain_order="left")
    values = _numbers(joined, names)
    right = _numbers(expected, names)
    defaults = np.array([each.default for each in FEATURE_SET.features if each.name in names])
    known = (values != defaults.astype(np.float32)).mean() * len(names)
    return {
        "features": len(names),
        "known": float(known),
        "wrong": float((values != right).sum()),
    }


def _numbers(
    rows: pl.DataFrame, names: list[str]
) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    return rows.select(pl.col(names).cast(pl.Float32)).to_numpy()
