"""The offline tables' columns: events, items, users and what stands beside, as Arrow schemas.

Free-form parts (`attributes`, `context`) are JSON objects in a text column, so that a store
with other attributes needs no other schema.
"""

import pyarrow as pa

UTC_MICROSECONDS = pa.timestamp("us", "UTC")

EVENTS = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string()),
        pa.field("timestamp", UTC_MICROSECONDS, nullable=False),
        pa.field("arrived_at", UTC_MICROSECONDS, nullable=False),
        pa.field("value", pa.float64()),
        pa.field("recommendation_id", pa.string()),
        pa.field("session_id", pa.string()),
        pa.field("context", pa.string()),
    ]
)
"""One row an event: `timestamp` is the client's, `arrived_at` the server's stamp, which counts."""

ITEMS = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("category", pa.string()),
        pa.field("price", pa.float64()),
        pa.field("in_stock", pa.bool_(), nullable=False),
        pa.field("attributes", pa.string()),
    ]
)

USERS = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("country", pa.string()),
        pa.field("attributes", pa.string()),
    ]
)

SCHEMAS = {"events": EVENTS, "items": ITEMS, "users": USERS}
"""The tables by name, in the order of `OfflineStore.version`."""

CHANGES = "user_changes"
USER_CHANGES = USERS.append(pa.field("until", UTC_MICROSECONDS, nullable=False))
"""One row a record of a shopper that was replaced: as it was, and until when it counted."""

MERGES = "merges"
SHOPPER_MERGES = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("into", pa.string(), nullable=False),
        pa.field("at", UTC_MICROSECONDS, nullable=False),
    ]
)
"""One row a merge: what had arrived of `source` by then is the shopper's `into`."""

SERVED = "served"
SERVED_LISTS = pa.schema(
    [
        pa.field("recommendation_id", pa.string(), nullable=False),
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("served_at", UTC_MICROSECONDS, nullable=False),
        pa.field("day", pa.date32(), nullable=False),
        pa.field("page", pa.string(), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("variant", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("segment", pa.string()),
        pa.field("after", pa.int32(), nullable=False),
        pa.field("items", pa.list_(pa.string()), nullable=False),
        pa.field("scores", pa.list_(pa.float32()), nullable=False),
        pa.field("reasons", pa.list_(pa.string()), nullable=False),
        pa.field("propensities", pa.list_(pa.float32())),
        pa.field("features", pa.list_(pa.float32())),
        pa.field("features_schema", pa.string()),
        pa.field("as_of", UTC_MICROSECONDS),
    ]
)
"""One row a list that was served: see `features.lists.line`. `day` is that of `served_at`.

What was used of features came later: tables of before, and their files, are without these columns.
"""

STAGED = ".staged-"
"""How the names of folders beside them begin that hold rows on their way into the tables."""

STORED = {**SCHEMAS, CHANGES: USER_CHANGES, MERGES: SHOPPER_MERGES, SERVED: SERVED_LISTS}
"""Every table that is kept: changes and merges tell what the others told of any earlier moment."""

PARTITIONS = {SERVED: "day"}
"""The column of a date by which a table lies in folders; it stands in no file of it."""
