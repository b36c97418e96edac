"""Times that name their zone beside times that do not: which one is meant must be declared."""

import polars as pl

from features.errors import InputError

BARE = "names no time zone, as others do: declare {column: …, zone: …}"
"""Why a bare time beside zoned ones is refused."""

_ZONED = r":\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)$"
_TIME = r"^\d{4}-"


class Zones:
    """What was met so far in one column of a file: numbers since 1970 count as neither."""

    def __init__(self) -> None:
        """Have met nothing."""
        self._zoned = False
        self._bare_row: int | None = None

    def bare(self, texts: pl.Series, rows: pl.Series) -> pl.Series:
        """Return which of these times are bare though the column has zoned ones.

        Raises `InputError` where bare ones came in an earlier batch: those are taken already.
        """
        zoned = texts.str.contains(_ZONED)
        bare = (texts.str.contains(_TIME) & ~zoned).fill_null(value=False)
        self._zoned |= bool(zoned.any())
        if self._zoned and self._bare_row is not None:
            raise InputError(f"row {self._bare_row} {BARE}")
        if not self._zoned and self._bare_row is None and bare.any():
            self._bare_row = int(rows.filter(bare)[0])
        return bare if self._zoned else pl.repeat(value=False, n=len(bare), eager=True)
