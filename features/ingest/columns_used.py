"""Which columns of a file became what, and which nobody looked at: for whoever wonders."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

from features.ingest.mapping import Column

ATTRIBUTE = "attribute:"
"""What stands before an attribute's name in a conformed frame."""


@dataclass(frozen=True, slots=True)
class ColumnsUsed:
    """What became of the columns of one file of a table.

    `targets` are the table's own columns that it has, `renamed` tells where these have another
    name, `attributes` the names of attributes, with their kind in brackets where it is known;
    `ignored` are columns that nobody read.
    """

    table: str
    targets: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    attributes: tuple[str, ...]
    ignored: tuple[str, ...]

    @classmethod
    def of(cls, table: str, used: Mapping[str, Column], present: Collection[str]) -> Self:
        """Return what became of the columns that are `present`, by what is `used` for what."""
        read = {column.column for column in used.values()}
        targets = {name: each for name, each in used.items() if not name.startswith(ATTRIBUTE)}
        return cls(
            table,
            tuple(targets),
            tuple((n, each.column) for n, each in targets.items() if each.column not in {n, None}),
            tuple(n.removeprefix(ATTRIBUTE) for n in used if n.startswith(ATTRIBUTE)),
            tuple(name for name in present if name not in read),
        )

    def with_kinds(self, numbers: Collection[str]) -> Self:
        """Return it with the kind of each attribute; `numbers` are those that hold some."""
        return replace(
            self,
            attributes=tuple(
                f"{name} ({'number' if ATTRIBUTE + name in numbers else 'text'})"
                for name in self.attributes
            ),
        )

    def __iter__(self) -> Iterator[str]:
        """Yield a line for each kind of use that there is."""
        if self.renamed:
            yield "named otherwise: " + ", ".join(f"{t} is {name}" for t, name in self.renamed)
        if self.attributes:
            yield ("context: " if self.table == "events" else "attributes: ") + ", ".join(
                self.attributes
            )
        if self.ignored:
            yield f"ignored: {', '.join(self.ignored)}"
