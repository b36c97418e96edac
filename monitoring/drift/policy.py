"""What is watched and when it is told, as declared in YAML: see `default.yaml`."""

from dataclasses import dataclass
from pathlib import Path

from features.errors import FieldError
from features.yaml_fields import as_list, as_mapping, unknown
from models.reference.rows import Rows
from models.reference.scores import SCORES
from monitoring.drift.detector import Limits
from monitoring.policies import declared, default_of, in_force, number, whole

VARIABLE = "CUVEE_DRIFT"
PACKAGE = "monitoring.drift"

_LONGEST_MINUTES = 7 * 24 * 60
_MOST_FLOOR = 1_000


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
            if each not in rows.values and each not in SCORES:  # old models have none
                raise FieldError("floors", unknown(each, rows.values))
        values = {name: each for name, each in rows.values.items() if name not in self.ignore}
        if not values:
            raise FieldError("ignore", "expected to leave a column to watch, got all of them")
        return Rows(rows.shoppers, rows.slots, values)


def policy_in_force(path: Path | None = None) -> Policy:
    """Return the policy of `path`, of `CUVEE_DRIFT`, or the default one.

    Raises `InputError` naming the field that cannot be used.
    """
    return in_force(parse_policy, path, VARIABLE)


def parse_policy(text: str, name: str) -> Policy:
    """Return the policy that a YAML text declares; `name` stands before fields in errors."""
    fields = declared(text, name, PACKAGE)
    floors = default_of(PACKAGE)["floors"] | as_mapping(fields["floors"] or {}, f"{name}: floors")
    limits = Limits(
        q=number(fields["q"], f"{name}: q", 0, 1),
        suspect=number(fields["suspect"], f"{name}: suspect", 0, 1),
        floor=number(fields["floor"], f"{name}: floor", 0, _MOST_FLOOR),
        floors={
            each: number(floor, f"{name}: floors.{each}", 0, _MOST_FLOOR)
            for each, floor in floors.items()
        },
        least_rows=whole(fields["least_rows"], f"{name}: least_rows", 1_000_000_000),
    )
    if limits.suspect < limits.q:
        raise FieldError(
            f"{name}: suspect", f"expected at least q, {limits.q}, got {limits.suspect}"
        )
    minutes = whole(fields["window_minutes"], f"{name}: window_minutes", _LONGEST_MINUTES)
    ignored = as_list(fields["ignore"] or [], f"{name}: ignore")
    return Policy(minutes, limits, frozenset(map(str, ignored)))
