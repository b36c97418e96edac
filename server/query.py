"""A recommendation request: parsed once, mistakes named, normalised for the cache.

Unknown fields are refused, not ignored: a misspelt `exclude` must not show what it should hide.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from features import anonymous
from features.errors import FieldError
from features.events import parse_id, parse_shopper, parse_timestamp
from models.request import ANY_IN_STOCK, Filters
from models.rules.compiled import FIRST, Turn
from models.rules.declared import Page, page_of
from server.errors import InvalidError, MalformedError

MAX_K = 100
DEFAULT_K = 10
MAX_EXCLUDE = 1_000
MAX_CATEGORIES = 100
MAX_LABEL = 64
MOST_LEVELS = 200
MOST_NAMES = 16
"""A bucket of more excluded items and categories is not remembered: thousands of such, each as
long as a body may be, would take hundreds of megabytes."""

SHOWN_BYTES = 8
"""Of the hash of an item that was shown."""

_FIELDS = ("user_id", "k", "context", "filters", "exclude", "session_id", "cursor")
_CONTEXT_FIELDS = ("timestamp", "device", "location", "page", "item_id", "segment")
_LOCATION_FIELDS = ("country", "lat", "lon")
_FILTER_FIELDS = ("category", "price_min", "price_max", "in_stock")


class Context(NamedTuple):
    """Where and when the list is shown; `timestamp` in seconds UTC."""

    timestamp: float
    device: str | None = None
    country: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    page: str | None = None
    item_id: str | None = None
    segment: str | None = None


class Query(NamedTuple):
    """A valid request for `k` items for one shopper."""

    user_id: str
    k: int
    context: Context
    filters: Filters
    exclude: tuple[str, ...]
    session_id: str | None
    cursor: str | None = None
    shown: bytes = b""
    """Hashes of what earlier pages showed, `SHOWN_BYTES` each: see `server.pages`."""

    @property
    def after(self) -> int:
        """Return how many items earlier pages showed."""
        return len(self.shown) // SHOWN_BYTES

    def otherwise(self) -> str | None:
        """Return the shopper that the session is, where it is not the one that is asked for."""
        session = self.session_id
        if session is None or len(session) > anonymous.LONGEST:
            return None
        other = anonymous.shopper_of(session)
        return None if other == self.user_id else other

    @property
    def page(self) -> Page:
        """Return where the list is shown."""
        return page_of(self.context.page)

    def bucket(self, turn: Turn = FIRST) -> str:
        """Return the stable hash, 16 hex digits, of all that changes the answer but the shopper.

        A timestamp becomes its hour and the `turn` of the rules, a position its degree, the
        excluded items a set: requests that deserve the same answer share it.
        """
        context, filters = self.context, self.filters
        names = len(self.exclude) + len(filters.categories or ()) + len(self.shown)
        return (_known_digest if names <= MOST_NAMES else _digest)(
            self.k,
            context.timestamp // 3_600,
            context.device,
            context.country,
            None if context.latitude is None else round(context.latitude),
            context.page,
            context.item_id,
            context.segment,
            filters,
            self.exclude,
            turn,
            self.shown,
        )


def _digest(
    k: int,
    hour: float,
    device: str | None,
    country: str | None,
    latitude: int | None,
    page: str | None,
    item_id: str | None,
    segment: str | None,
    filters: Filters,
    exclude: tuple[str, ...],
    turn: Turn,
    shown: bytes,
) -> str:
    """Return the hash of a bucket."""
    categories = filters.categories and sorted(filters.categories)
    about = (k, hour, device, country, latitude, page, item_id, segment)
    parts = (*about, categories, *filters[1:], sorted(exclude), *turn, shown.hex())
    return blake2b(orjson.dumps(parts), digest_size=8).hexdigest()


_known_digest = lru_cache(1_024)(_digest)
"""A page asks for the same buckets again and again, but hardly with long lists of names."""


def parse_json(body: bytes) -> Any:  # noqa: ANN401 - JSON may be anything
    """Return the JSON value in `body`, or raise `MalformedError`; NaN and Infinity are no JSON."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedError(str(error)) from None
    if body.count(b"[") + body.count(b"{") > MOST_LEVELS and _is_deep(told):
        raise MalformedError(f"expected at most {MOST_LEVELS} levels of objects and lists")
    return told


def _is_deep(told: object) -> bool:
    """Tell whether there are more than `MOST_LEVELS` levels: `repr`, for one, cannot show them."""
    level = [told]
    for _ in range(MOST_LEVELS):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def parse_query(
    body: bytes,
    clock: Callable[[], float] = time.time,
    lengths: Mapping[Page, int] = MappingProxyType({}),
) -> Query:
    """Return the `Query` in `body`; raise `MalformedError`, or `InvalidError` naming the fields.

    `lengths` are those of lists on pages, where a request does not say.
    """
    raw = parse_json(body)
    try:
        return _query(raw, clock, lengths)
    except FieldError as error:
        raise InvalidError.of(error) from None


def _query(raw: object, clock: Callable[[], float], lengths: Mapping[Page, int]) -> Query:
    fields = parse_object(raw, "", _FIELDS)
    session = _optional_id(fields.get("session_id"), "session_id")
    user_id = parse_shopper(fields.get("user_id"), session)
    context = _context(fields.get("context"), clock)
    if "k" in fields:
        k = parse_k(fields["k"])
    else:
        k = lengths.get(page_of(context.page), DEFAULT_K) if lengths else DEFAULT_K
    return Query(
        user_id,
        k,
        context,
        _filters(fields.get("filters")),
        parse_ids(fields.get("exclude"), "exclude", MAX_EXCLUDE),
        session,
        _cursor(fields.get("cursor")),
    )


def parse_merge(body: bytes, user_id: str) -> str:
    """Return the shopper who is merged into `user_id`, from `{"from": id}`.

    Raises `MalformedError`, or `InvalidError`.
    """
    raw = parse_json(body)
    try:
        return _source(raw, user_id)
    except FieldError as error:
        raise InvalidError.of(error) from None


def _source(raw: object, user_id: str) -> str:
    source = parse_id(parse_object(raw, "", ("from",)).get("from"), "from")
    if source == user_id:
        raise FieldError("from", f"expected another shopper than {user_id!r:.80}")
    return source


def parse_item_ids(body: bytes) -> tuple[str, ...]:
    """Return the ids of `{"item_ids": [ids]}`, at most `MAX_K`.

    Raises `MalformedError`, or `InvalidError`.
    """
    raw = parse_json(body)
    try:
        fields = parse_object(raw, "", ("item_ids",))
        return parse_ids(fields.get("item_ids"), "item_ids", MAX_K)
    except FieldError as error:
        raise InvalidError.of(error) from None


def parse_k(raw: object, field: str = "k") -> int:
    """Return `raw` as a list length, 1 to 100."""
    if isinstance(raw, bool) or not isinstance(raw, int) or not 1 <= raw <= MAX_K:
        raise FieldError(field, f"expected an integer from 1 to {MAX_K}, got {raw!r:.40}")
    return raw


def parse_object(raw: object, field: str, known: tuple[str, ...]) -> Mapping[str, Any]:
    """Return `raw` if it is an object of `known` fields; raise `FieldError` below `field`."""
    if not isinstance(raw, dict):
        raise FieldError(field or "body", f"expected an object, got {raw!r:.40}")
    refuse_unknown(raw, field, known)
    return raw


def refuse_unknown(names: Iterable[str], field: str, known: tuple[str, ...]) -> None:
    """Raise `FieldError` below `field` for a name that is none of the `known` ones."""
    for name in names:
        if name not in known:
            near = get_close_matches(name[:MAX_LABEL], known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            path = f"{field}.{name}" if field else name
            raise FieldError(path[:MAX_LABEL], f"unknown field{hint}")


def _context(raw: object, clock: Callable[[], float]) -> Context:
    if raw is None:
        return Context(clock())
    fields = parse_object(raw, "context", _CONTEXT_FIELDS)
    location = fields.get("location")
    place = parse_object({} if location is None else location, "context.location", _LOCATION_FIELDS)
    stamp = fields.get("timestamp")
    return Context(
        timestamp=clock() if stamp is None else parse_timestamp(stamp, "context.timestamp"),
        device=_label(fields.get("device"), "context.device"),
        country=_label(place.get("country"), "context.location.country"),
        latitude=_number(place.get("lat"), "context.location.lat", -90, 90),
        longitude=_number(place.get("lon"), "context.location.lon", -180, 180),
        page=_label(fields.get("page"), "context.page"),
        item_id=_optional_id(fields.get("item_id"), "context.item_id"),
        segment=_label(fields.get("segment"), "context.segment", 2 * MAX_LABEL),
    )


def _filters(raw: object) -> Filters:
    if raw is None:
        return ANY_IN_STOCK
    fields = parse_object(raw, "filters", _FILTER_FIELDS)
    in_stock = fields.get("in_stock", True)
    if not isinstance(in_stock, bool):
        raise FieldError("filters.in_stock", f"expected true or false, got {in_stock!r:.40}")
    categories = fields.get("category")
    low = _number(fields.get("price_min"), "filters.price_min", 0, math.inf)
    high = _number(fields.get("price_max"), "filters.price_max", 0, math.inf)
    if low is not None and high is not None and low > high:
        raise FieldError("filters.price_min", f"expected at most price_max {high}, got {low}")
    return Filters(
        categories=None
        if categories is None
        else parse_ids(categories, "filters.category", MAX_CATEGORIES),
        price_min=low,
        price_max=high,
        in_stock=in_stock,
    )


def parse_ids(raw: object, field: str, limit: int) -> tuple[str, ...]:
    """Return `raw` as at most `limit` ids, none where it is None; raise `FieldError`."""
    if raw is None:
        return ()
    if not isinstance(raw, list):
        raise FieldError(field, f"expected a list of strings, got {raw!r:.40}")
    if len(raw) > limit:
        raise FieldError(field, f"expected at most {limit} entries, got {len(raw)}")
    return tuple(parse_id(each, f"{field}[{index}]") for index, each in enumerate(raw))


def _optional_id(raw: object, field: str) -> str | None:
    return None if raw is None else parse_id(raw, field)


def _cursor(raw: object) -> str | None:
    if raw is None or isinstance(raw, str):
        return raw
    raise FieldError("cursor", f"expected the next_cursor of an answer, got {raw!r:.40}")


def _label(raw: object, field: str, longest: int = MAX_LABEL) -> str | None:
    if raw is None:
        return None
    if not isinstance(raw, str) or not 0 < len(raw) <= longest:
        raise FieldError(field, f"expected a string of 1 to {longest} characters, got {raw!r:.40}")
    return parse_id(raw, field)


def _number(raw: object, field: str, low: float, high: float) -> float | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not low <= raw <= high:
        span = f"from {low} to {high}" if high < math.inf else f"of at least {low}"
        raise FieldError(field, f"expected a number {span}, got {raw!r:.40}")
    return float(raw)
