"""What the parameters of a URL may be, route by route."""

import pytest

from server.routes import PARAMETERS, ROUTES, STRICT
from server.url import REPEATED
from tests.server.test_docs import DOCUMENT
from tests.server.test_http import problem
from tests.support.service import ADMIN, Client

STRICT_ROUTES = [(method, path) for method, path, *_ in ROUTES if path.startswith(STRICT)]
OTHERS = [(method, path) for method, path, *_ in ROUTES if not path.startswith(STRICT)]


def url(path: str, query: str) -> str:
    """Return a path with something in the places that its pattern leaves open, and a query."""
    return f"{path.replace('{', '').replace('}', '')}{query}"


@pytest.mark.parametrize(("method", "path"), STRICT_ROUTES)
async def test_unknown_parameters_are_refused(service: Client, method: str, path: str) -> None:
    """The parameter is named before anything is done, whatever else is wrong."""
    for query in ("?zz=1", "?zz", "?zz=1&zz=2", "?%7a%7a=1"):
        answer = await service.request(method, url(path, query), headers=ADMIN, json={})
        told = await problem(answer, 422)
        assert told["errors"] == [{"field": "zz", "message": "unknown field"}]


@pytest.mark.parametrize(("method", "path"), STRICT_ROUTES)
async def test_known_parameters_are_taken(service: Client, method: str, path: str) -> None:
    """A route knows those that its document names; an empty query has none."""
    operation = DOCUMENT["paths"][path][method.lower()]
    named = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
    assert named == {*PARAMETERS.get(path, ())}
    assert "422" in operation["responses"]
    for query in ("?", *(f"?{name}=1" for name in named)):
        answer = await service.request(method, url(path, query), headers=ADMIN, json={})
        assert "unknown field" not in await answer.text()


@pytest.mark.parametrize("path", PARAMETERS)
async def test_parameters_are_given_once(service: Client, path: str) -> None:
    """But for those that may be repeated: of two values nobody knows which is meant."""
    for name in PARAMETERS[path]:
        answer = await service.get(url(path, f"?{name}=1&{name}=2"), headers=ADMIN)
        message = "expected it once, got it 2 times"
        assert (message in await answer.text()) is (name not in REPEATED)


@pytest.mark.parametrize(("method", "path"), OTHERS)
async def test_others_may_add_parameters(service: Client, method: str, path: str) -> None:
    """Scrapers, browsers and clients of the inference protocol are answered as without."""
    bare, more = [
        await service.request(method, url(path, query), headers=ADMIN, json={})
        for query in ("", "?name[]=up&zz=1")
    ]
    assert (more.status, more.content_type) == (bare.status, bare.content_type)


@pytest.mark.parametrize(
    "count", ["101", "0000101", "00001099999", "000001" + "9" * 5_000, "٣", "+5", "1e1"]
)
async def test_counts_are_no_greater_than_may_be_asked_for(service: Client, count: str) -> None:
    """However they are written."""
    answer = await service.get("/v1/popular", params={"k": count})
    told = await problem(answer, 422)
    assert [each["field"] for each in told["errors"]] == ["k"]
