"""The demo shop's wines, shoppers and happenings as rows of the offline tables."""

import json

import numpy as np
import polars as pl
import pyarrow as pa

from features.demo_shop.visits import NO_WINE, Happenings
from features.demo_shop.world import COUNTRIES, HOMES, TYPES, Codes, Shoppers, Wines
from features.events import EventType
from features.offline.tables import EVENTS, ITEMS, USERS

DEVICES = ("mobile", "desktop", "tablet")

_CONTEXTS = tuple(
    json.dumps({"device": device, "location": {"country": home}})
    for home in HOMES
    for device in DEVICES
)


def events_table(
    happenings: Happenings, wines: Wines, shoppers: Shoppers, devices: Codes, seed: int
) -> pa.Table:
    """Return the happenings (sorted by shopper) as events; `devices` has one code a visit.

    Ids are made of seed, shopper and a running number, hence unique without looking any up.
    """
    place = shoppers.home[happenings.shopper] * len(DEVICES) + devices[happenings.visit]
    frame = pl.DataFrame(
        {
            "shopper": happenings.shopper + shoppers.first,
            "ts": happenings.ts_ms,
            "code": happenings.code,
            "wine": np.where(happenings.wine == NO_WINE, len(wines), happenings.wine),
            "value": happenings.value,
            "visit": happenings.visit,
            "recommended": happenings.recommended,
            "place": place,
        }
    ).with_columns(
        rank=pl.int_range(pl.len()).over("shopper"),
        visit=pl.col("visit") - pl.col("visit").min().over("shopper"),
    )
    return _named(frame, wines, seed).to_arrow().cast(EVENTS)


def _named(frame: pl.DataFrame, wines: Wines, seed: int) -> pl.DataFrame:
    """Return the events with ids, types and wines in words instead of numbers."""
    kinds = pl.Series([str(kind) for kind in EventType])
    ids = pl.Series([*wines.ids, None], dtype=pl.String)
    moment = pl.col("ts").cast(pl.Datetime("ms")).dt.replace_time_zone("UTC")
    visit = pl.format("{}-{}-{}", pl.lit(seed), "shopper", "visit")
    return frame.select(
        event_id=pl.format("{}-{}-e{}", pl.lit(seed), "shopper", "rank"),
        type=kinds.gather(frame["code"]),
        user_id=pl.format("shopper-{}", pl.col("shopper").cast(pl.String).str.zfill(6)),
        item_id=ids.gather(frame["wine"]),
        timestamp=moment.dt.cast_time_unit("us"),
        arrived_at=moment.dt.cast_time_unit("us"),
        value=pl.col("value").fill_nan(None).round(2),
        recommendation_id=pl.when("recommended").then(pl.format("r-{}", visit)),
        session_id=pl.format("s-{}", visit),
        context=pl.Series(_CONTEXTS).gather(frame["place"]),
    )


def items_table(wines: Wines) -> pa.Table:
    """Return the wines as items."""
    return pa.Table.from_pylist([_item(wines, row) for row in range(len(wines))], schema=ITEMS)


def _item(wines: Wines, row: int) -> dict[str, object]:
    attributes = {
        "name": wines.name[row],
        "country": COUNTRIES[wines.country[row]],
        "grape": wines.grape[row],
        "winery": wines.winery[row],
        "abv": float(wines.abv[row]),
    }
    return {
        "item_id": wines.ids[row],
        "category": TYPES[wines.type[row]],
        "price": round(float(wines.price[row]), 2),
        "in_stock": bool(wines.in_stock[row]),
        "attributes": json.dumps(attributes, ensure_ascii=False),
    }


def users_table(shoppers: Shoppers) -> pa.Table:
    """Return the shoppers as users."""
    rows = [_user(shoppers, row) for row in range(len(shoppers))]
    return pa.Table.from_pylist(rows, schema=USERS)


def _user(shoppers: Shoppers, row: int) -> dict[str, object]:
    known = {"age": int(shoppers.age[row]), "marketing_opt_in": int(shoppers.opted_in[row])}
    return {
        "user_id": f"shopper-{shoppers.first + row:06d}",
        "country": HOMES[shoppers.home[row]],
        "attributes": json.dumps(known),
    }
