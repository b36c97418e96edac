"""Where the columns of a table come from in a file: as mapped, or as they are named there."""

from collections.abc import Collection, Sequence

from features.errors import InputError
from features.ingest.columns_used import ATTRIBUTE
from features.ingest.mapping import REQUIRED, TARGETS, Column, TableMapping
from features.yaml_fields import unknown


def file_columns(
    name: str, table: str, mapping: TableMapping, present: Sequence[str]
) -> dict[str, Column]:
    """Return where each target of `table` comes from in the file `name`, attributes included.

    Raises `InputError` where a column that is needed or was mapped is not among those `present`.
    """
    columns = {}
    for target in TARGETS[table]:
        undeclared = Column(column=target, decimal=mapping.decimal)
        column = mapping.columns.get(target, undeclared)
        if column.column is None or column.column in present:
            columns[target] = column
        elif target in mapping.columns:
            raise InputError(f"{name}: {table}.{target}: {unknown(column.column, present)}")
        elif target in REQUIRED[table]:
            raise InputError(
                f"{name}: a column for {target} is needed: "
                f"{unknown(target, present)} (--map {table}.{target}=COLUMN)"
            )
    used = {column.column for column in columns.values()}
    return columns | _attributes(name, table, mapping, present, used)


def _attributes(
    name: str,
    table: str,
    mapping: TableMapping,
    present: Sequence[str],
    used: Collection[str | None],
) -> dict[str, Column]:
    declared = mapping.attributes
    if declared is None:
        rest = () if table == "events" else present
        declared = {n: Column(column=n, decimal=mapping.decimal) for n in rest if n not in used}
    for attribute, column in declared.items():
        if column.column is not None and column.column not in present:
            raise InputError(
                f"{name}: {table}.attributes.{attribute}: {unknown(column.column, present)}"
            )
    return {ATTRIBUTE + attribute: column for attribute, column in declared.items()}
