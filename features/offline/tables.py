"""The offline tables' columns: events, items and users as Arrow schemas.

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

STAGED = ".staged-"
"""How the names of folders beside them begin that hold rows on their way into the tables."""

STORED = {**SCHEMAS, CHANGES: USER_CHANGES, MERGES: SHOPPER_MERGES}
"""Every table that is kept: the last two tell what they told of any earlier moment."""
