"""What is watched and when it is told, as declared in YAML: see `default.yaml`."""

import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from features.errors import FieldError
from features.yaml_fields import (
    as_list,
    as_mapping,
    parse_yaml,
    read_text,
    refuse_unknown,
    unknown,
)
from models.reference.rows import Rows
from monitoring.drift.detector import Limits

VARIABLE = "CUVEE_DRIFT"

_LONGEST_MINUTES = 7 * 24 * 60


@dataclass(frozen=True, slots=True)
class Policy:
    """How long a window is, when a column is suspect, and which columns are not watched."""

    window_minutes: int
    limits: Limits
    ignore: frozenset[str]

    @property
    def window_ms(self) -> int:
        """Return the length of a window in milliseconds."""
        return self.window_minutes * 60_000

    def watched(self, rows: Rows) -> Rows:
        """Return `rows` without the columns that are not watched.

        Raises `FieldError` for floors of a column that there is none of, and if none is left.
        """
        for each in self.limits.floors:
            if each not in rows.values:
                raise FieldError("floors", unknown(each, rows.values))
        values = {name: each for name, each in rows.values.items() if name not in self.ignore}
        if not values:
            raise FieldError("ignore", "expected to leave a column to watch, got all of them")
        return Rows(rows.shoppers, rows.slots, values)


def policy_in_force(path: Path | None = None) -> Policy:
    """Return the policy of `path`, of `CUVEE_DRIFT`, or the default one.

    Raises `InputError` naming the field that cannot be used.
    """
    named = path or os.environ.get(VARIABLE)
    if named:
        return parse_policy(read_text(Path(named)), str(named))
    return parse_policy("{}", "default.yaml")


def parse_policy(text: str, name: str) -> Policy:
    """Return the policy that a YAML text declares; `name` stands before fields in errors."""
    default = as_mapping(parse_yaml(_default(), "default.yaml"), "default.yaml")
    told = as_mapping(parse_yaml(text, name) or {}, name)
    refuse_unknown(told, default, name)
    fields = {**default, **told}
    floors = as_mapping(fields["floors"] or {}, f"{name}: floors")
    limits = Limits(
        q=_share(fields["q"], f"{name}: q"),
        suspect=_share(fields["suspect"], f"{name}: suspect"),
        floor=_share(fields["floor"], f"{name}: floor", most=1_000),
        floors={
            each: _share(floor, f"{name}: floors.{each}", most=1_000)
            for each, floor in floors.items()
        },
        least_rows=_whole(fields["least_rows"], f"{name}: least_rows", 1_000_000_000),
    )
    if limits.suspect < limits.q:
        raise FieldError(
            f"{name}: suspect", f"expected at least q, {limits.q}, got {limits.suspect}"
        )
    minutes = _whole(fields["window_minutes"], f"{name}: window_minutes", _LONGEST_MINUTES)
    ignored = as_list(fields["ignore"] or [], f"{name}: ignore")
    return Policy(minutes, limits, frozenset(map(str, ignored)))


def _default() -> str:
    return (resources.files("monitoring.drift") / "default.yaml").read_text(encoding="utf-8")


def _share(raw: Any, where: str, most: float = 1) -> float:  # noqa: ANN401 - YAML may be anything
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0 <= raw <= most:
        raise FieldError(where, f"expected a number from 0 to {most}, got {raw!r:.40}")
    return float(raw)


def _whole(raw: Any, where: str, most: int) -> int:  # noqa: ANN401 - YAML may be anything
    if isinstance(raw, bool) or not isinstance(raw, int) or not 1 <= raw <= most:
        raise FieldError(where, f"expected a whole number from 1 to {most}, got {raw!r:.40}")
    return raw
