"""`python -m loadtests.drift.libraries NAME`: a library that detects drift, as it comes.

It runs in an environment of its own and is told rows on stdin: the reference first, then one window
after another, each an .npz of columns behind its length. It answers with a line for each.
"""

import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import IO, TypeAlias

import numpy as np
import numpy.typing as npt

LENGTH = 8
"""Bytes before rows that say how many they are."""

CHUNK_ROWS = 1_000
P = 0.05

Columns: TypeAlias = Mapping[str, npt.NDArray[np.generic]]
"""Numbers, or words as text."""

Detector: TypeAlias = Callable[[Columns], set[str]]
"""Returns the columns of a window that have drifted."""


def read(rows: IO[bytes]) -> Iterator[Columns]:
    """Read what is told until that ends."""
    while told := rows.read(LENGTH):
        with np.load(BytesIO(rows.read(int.from_bytes(told)))) as columns:
            yield dict(columns)


def serve(made: Callable[[Columns], Detector], rows: IO[bytes], answers: IO[str]) -> None:
    """Answer for each window with what has drifted, and the processor time that it took."""
    told = read(rows)
    detector = made(next(told))
    for window in told:
        start = time.process_time()
        drifted = sorted(detector(window))
        answers.write(json.dumps([drifted, time.process_time() - start]) + "\n")
        answers.flush()


def alibi_detect(reference: Columns) -> Detector:
    """Kolmogorov and Smirnov or chi-square, Bonferroni over all columns."""
    from alibi_detect.cd import TabularDrift  # noqa: PLC0415 - each in its own process

    words = {place: None for place, name in enumerate(reference) if _is_word(reference[name])}
    codes: dict[str, int] = {}
    detector = TabularDrift(_table(reference, codes), p_val=P, categories_per_feature=words)

    def drifted(window: Columns) -> set[str]:
        told = detector.predict(_table(window, codes))["data"]
        pairs = zip(window, told["p_val"], strict=True)
        return {name for name, p in pairs if p < told["threshold"]}

    return drifted


def evidently(reference: Columns) -> Detector:
    """Return the tests that its preset chooses by the size, without the report around them."""
    from evidently.legacy.calculations.stattests import (  # noqa: PLC0415 - as above
        get_stattest,
    )
    from evidently.legacy.core import ColumnType  # noqa: PLC0415 - as above
    from pandas import Series  # noqa: PLC0415 - as above

    def is_drifted(name: str, window: Columns) -> bool:
        before, now = Series(reference[name]), Series(window[name])
        kind = ColumnType.Categorical if _is_word(reference[name]) else ColumnType.Numerical
        return bool(get_stattest(before, now, kind, None)(before, now, kind, None).drifted)

    return lambda window: {name for name in window if is_drifted(name, window)}


def nannyml(reference: Columns) -> Detector:
    """Jensen and Shannon's distance beyond what chunks of the reference have."""
    from nannyml import UnivariateDriftCalculator  # noqa: PLC0415 - as above
    from pandas import DataFrame  # noqa: PLC0415 - as above

    calculator = UnivariateDriftCalculator(
        column_names=list(reference),
        treat_as_categorical=[name for name in reference if _is_word(reference[name])],
        chunk_size=CHUNK_ROWS,
    )
    calculator.fit(DataFrame(dict(reference)))

    def drifted(window: Columns) -> set[str]:
        told = calculator.calculate(DataFrame(dict(window))).filter(period="analysis").to_df()
        alerts = told.xs("alert", axis=1, level=2)
        return {name for name, *_ in alerts.columns[alerts.any()]}

    return drifted


LIBRARIES: Mapping[str, Callable[[Columns], Detector]] = {
    "alibi-detect": alibi_detect,
    "Evidently": evidently,
    "NannyML": nannyml,
}


def _is_word(column: npt.NDArray[np.generic]) -> bool:
    return column.dtype.kind == "U"


def _table(columns: Columns, codes: dict[str, int]) -> npt.NDArray[np.float64]:
    """Return numbers as they are and a code for each word; new words get new ones."""
    told = []
    for column in columns.values():
        if _is_word(column):
            words, places = np.unique(column, return_inverse=True)
            coded = [codes.setdefault(str(each), len(codes)) for each in words]
            told.append(np.array(coded, float)[places])
        else:
            told.append(column.astype(float))
    return np.column_stack(told)


def main() -> None:
    """Be the library that is named."""
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    serve(LIBRARIES[sys.argv[1]], sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
