"""A recommendation request: what is taken, what is refused, and what shares a cached answer."""

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.request import Filters
from server import query
from server.errors import InvalidError, MalformedError
from server.query import Query, parse_query
from server.url import parse_count

NOON = 1_760_011_200.0


def parse(**fields: Any) -> Query:
    """Parse a request of shopper `u1` at noon, with `fields`."""
    return parse_query(orjson.dumps({"user_id": "u1"} | fields), lambda: NOON)


def test_defaults() -> None:
    """A user id is enough: ten items, in stock, now."""
    query = parse()
    assert (query.user_id, query.k, query.filters, query.exclude) == ("u1", 10, Filters(), ())
    assert query.context.timestamp == NOON


def test_everything_told_is_taken() -> None:
    """Every field of the contract arrives."""
    query = parse(
        k=3,
        context={
            "timestamp": 1_700_000_000,
            "device": "phone",
            "location": {"country": "FR", "lat": 48.9, "lon": 2.4},
            "page": "home",
            "item_id": "w1",
            "segment": "global",
        },
        filters={"category": ["Red"], "price_min": 5, "price_max": 20.5, "in_stock": False},
        exclude=["w2", "w3"],
        session_id="s1",
        cursor=None,
    )
    assert query.filters == Filters(("Red",), 5.0, 20.5, in_stock=False)
    assert (query.context.country, query.context.latitude) == ("FR", 48.9)
    assert (query.exclude, query.session_id) == (("w2", "w3"), "s1")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"user_id": ""}, "user_id"),
        ({"user_id": 7}, "user_id"),
        ({"user_id": "x" * 129}, "user_id"),
        ({"k": 0}, "k"),
        ({"k": 101}, "k"),
        ({"k": True}, "k"),
        ({"k": 3.0}, "k"),
        ({"k": "3"}, "k"),
        ({"exlude": []}, "exlude"),
        ({"exclude": "w1"}, "exclude"),
        ({"exclude": ["w1", 2]}, "exclude[1]"),
        ({"exclude": ["w"] * 1_001}, "exclude"),
        ({"cursor": 7}, "cursor"),
        ({"context": []}, "context"),
        ({"context": {"timestamp": "now"}}, "context.timestamp"),
        ({"context": {"timestamp": -1e30}}, "context.timestamp"),
        ({"context": {"location": {"lat": 91}}}, "context.location.lat"),
        ({"context": {"location": {"lng": 1}}}, "context.location.lng"),
        ({"context": {"device": ""}}, "context.device"),
        ({"context": {"device": "x" * 65}}, "context.device"),
        ({"filters": {"price_min": -1}}, "filters.price_min"),
        ({"filters": {"price_min": True}}, "filters.price_min"),
        ({"filters": {"price_min": 9, "price_max": 1}}, "filters.price_min"),
        ({"filters": {"in_stock": 1}}, "filters.in_stock"),
        ({"filters": {"category": "Red"}}, "filters.category"),
    ],
)
def test_a_bad_field_is_named(fields: dict[str, Any], field: str) -> None:
    """The refusal names the field, by its path."""
    with pytest.raises(InvalidError) as refused:
        parse(**fields)
    assert [named for named, _ in refused.value.errors] == [field]


def test_a_bound_that_has_no_end_is_told_as_one() -> None:
    """A price may be any that is not below nothing; a latitude has two ends."""
    with pytest.raises(InvalidError, match=r"price_min: expected a number of at least 0, got -1$"):
        parse(filters={"price_min": -1})
    with pytest.raises(InvalidError, match=r"lat: expected a number from -90 to 90, got 91$"):
        parse(context={"location": {"lat": 91}})


def test_a_misspelt_field_gets_a_hint() -> None:
    """The nearest known name is offered."""
    with pytest.raises(InvalidError, match="did you mean exclude"):
        parse(exlude=[])


@pytest.mark.parametrize(
    "raw", [b"", b"{", b'{"user_id": NaN}', b'{"k": Infinity}', b'{"k": 1e400}', b"\xff\xfe"]
)
def test_what_is_no_json_is_malformed(raw: bytes) -> None:
    """NaN and infinities are no JSON."""
    with pytest.raises(MalformedError):
        parse_query(raw)


@pytest.mark.parametrize("levels", [200, 201, 1_000])
def test_what_is_nested_too_deep_is_malformed(levels: int) -> None:
    """The value of a field could not be told, which was an error inside the service."""
    inner = levels - 1
    body = b'{"user_id": "u1", "k": %s}' % (b"[" * inner + b"]" * inner)
    with pytest.raises(InvalidError if levels == query.MOST_LEVELS else MalformedError):
        parse_query(body)


def test_many_things_beside_one_another_are_not_deep() -> None:
    """Only what lies within one another counts."""
    events = [{"event_id": str(each), "context": {"a": [{}]}} for each in range(300)]
    assert query.parse_json(orjson.dumps(events)) == events


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            {"filters": {"category": "Red"}},
            "filters.category: expected a list of strings, got 'Red'",
        ),
        ({"context": {"location": "FR"}}, "context.location: expected an object, got 'FR'"),
    ],
)
def test_the_value_is_told(fields: dict[str, Any], told: str) -> None:
    """Not its type in the language of the service."""
    with pytest.raises(InvalidError) as refused:
        parse(**fields)
    assert str(refused.value) == told


@pytest.mark.parametrize("raw", [b"[]", b"1", b"null", b'"u1"', b"{}"])
def test_another_shape_is_invalid(raw: bytes) -> None:
    """Only an object with a user id is a request."""
    with pytest.raises(InvalidError):
        parse_query(raw)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_json_value_is_a_traceback(value: object) -> None:
    """Whatever JSON is sent in whatever field, it is taken or refused by name."""
    for field in ("user_id", "k", "context", "filters", "exclude", "session_id", "cursor"):
        with suppress(orjson.JSONEncodeError, InvalidError):  # lone surrogates are no JSON
            assert parse(**{"user_id": "u1", field: value}).k in range(1, 101)


def test_requests_that_deserve_the_same_answer_share_a_bucket() -> None:
    """Seconds, the order of exclusions and a fraction of a degree make no difference."""
    one = parse(exclude=["a", "b"], context={"timestamp": NOON, "location": {"lat": 48.9}})
    two = parse(exclude=["b", "a"], context={"timestamp": NOON + 5, "location": {"lat": 49.1}})
    assert one.bucket() == two.bucket()


@pytest.mark.parametrize(
    "fields",
    [
        {"k": 9},
        {"exclude": ["a"]},
        {"filters": {"category": ["Red"]}},
        {"filters": {"price_min": 1}},
        {"filters": {"price_max": 1}},
        {"filters": {"in_stock": False}},
        {"context": {"timestamp": NOON + 3_600}},
        {"context": {"timestamp": NOON + 7 * 86_400}},
        {"context": {"device": "phone"}},
        {"context": {"page": "basket"}},
        {"context": {"item_id": "w1"}},
        {"context": {"segment": "global"}},
        {"context": {"location": {"country": "FR"}}},
        {"context": {"location": {"lat": 10}}},
    ],
)
def test_what_changes_the_answer_changes_the_bucket(fields: dict[str, Any]) -> None:
    """No two requests with different answers share a bucket."""
    assert parse(**fields).bucket() != parse().bucket()


def test_long_lists_of_names_are_not_remembered() -> None:
    """Their buckets are as stable as others, and take no memory."""
    before = query._known_digest.cache_info().currsize
    excluded = [f"item-{number}" for number in range(query.MOST_NAMES + 1)]
    buckets = {parse(exclude=excluded, context={"timestamp": NOON}).bucket() for _ in range(2)}
    assert len(buckets) == 1
    assert query._known_digest.cache_info().currsize == before


def test_buckets_are_the_same_in_every_process() -> None:
    """The bucket is a stable hash: this value may only change with the cache's layout."""
    assert parse(context={"timestamp": NOON}).bucket() == parse().bucket()
    assert len(parse().bucket()) == 16


@pytest.mark.parametrize("raw", ["0", "101", "-1", "1.0", "٣", "", "1e1", "9" * 5_000])
def test_a_bad_count_in_the_url_is_refused(raw: str) -> None:
    """Only plain decimal digits within the bound are a count."""
    with pytest.raises(InvalidError, match="k: expected"):
        parse_count({"k": raw}, "k", 10, 100)
