"""The OpenAPI document tells the truth, and the page shows all of it."""

from html.parser import HTMLParser
from typing import Any

import orjson
import pytest

from features.events import EventType
from models.why import MAX_WHY
from monitoring.labels import Reason, Source
from server.docs_page import docs_page
from server.handlers.docs import OPENAPI_PATH
from server.move import OF_PROMOTIONS, OF_ROLLBACKS, OF_STEPS
from server.query import MAX_K, parse_query
from server.routes import ROUTES
from tests.support.service import Client, ask

DOCUMENT: dict[str, Any] = orjson.loads(OPENAPI_PATH.read_bytes())
SCHEMAS = DOCUMENT["components"]["schemas"]


def test_every_route_is_documented() -> None:
    """Document and router name the same methods and paths."""
    documented = {
        (method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item
    }
    assert documented == {(method, path) for method, path, _, _ in ROUTES}


def test_closed_sets_are_the_codes() -> None:
    """Enumerations in the document are those in the code."""
    answer = SCHEMAS["Recommendation"]["properties"]
    assert answer["source"]["enum"] == [each.value for each in Source]
    assert {*answer["reason"]["enum"]} == {None, *(each.value for each in Reason)}
    kinds = SCHEMAS["Event"]["properties"]["type"]["enum"]
    assert {*kinds} == {each.value for each in EventType}
    assert SCHEMAS["RecommendationRequest"]["properties"]["k"]["maximum"] == MAX_K


def test_every_reference_leads_somewhere() -> None:
    """No `$ref` dangles."""

    def walk(node: object) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                _, kind, name = node["$ref"].removeprefix("#/").split("/")
                assert name in DOCUMENT["components"][kind]
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(DOCUMENT)


@pytest.mark.parametrize("name", ["RecommendationRequest", "Context", "Filters"])
def test_documented_fields_are_the_parsers(name: str) -> None:
    """A documented field is taken, whatever object it stands in."""
    path = {"RecommendationRequest": None, "Context": "context", "Filters": "filters"}[name]
    fields = dict.fromkeys(SCHEMAS[name]["properties"])
    fields.pop("user_id", None)
    fields.pop("k", None)
    fields.pop("in_stock", None)
    told = {path: fields} if path else fields
    assert parse_query(orjson.dumps({"user_id": "u", **told})).user_id == "u"


@pytest.mark.parametrize(
    ("name", "known"),
    [("Promotion", OF_PROMOTIONS), ("Rollback", OF_ROLLBACKS), ("Step", OF_STEPS)],
)
def test_documented_moves_are_the_parsers(name: str, known: tuple[str, ...]) -> None:
    """No field more or less, and a reason as long."""
    fields = SCHEMAS[name]["properties"]
    assert tuple(fields) == known
    assert fields["why"]["maxLength"] == MAX_WHY


def test_examples_are_valid() -> None:
    """What the document shows can be sent."""
    operation = DOCUMENT["paths"]["/v1/recommendations"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    assert parse_query(orjson.dumps(example)).k == 3


async def test_an_answer_has_the_documented_fields(service: Client) -> None:
    """Neither more nor fewer fields come than are documented."""
    assert set(await ask(service, "u")) == set(SCHEMAS["Recommendation"]["properties"])


class Outline(HTMLParser):
    """Notes ids, local links, and anything that would be fetched from elsewhere."""

    def __init__(self) -> None:
        """Note nothing yet."""
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what matters of a tag."""
        for name, value in attrs:
            if name == "id":
                self.ids.add(value or "")
            elif name == "href" and (value or "").startswith("#"):
                self.links.add((value or "")[1:])
            elif name == "src" or (tag == "link" and name == "href"):
                self.fetched.append(value or "")


async def test_the_page_stands_alone(service: Client) -> None:
    """Every operation and schema is on the page, every link leads to one, nothing is fetched."""
    answer = await service.get("/docs")
    assert answer.content_type == "text/html"
    outline = Outline()
    outline.feed(await answer.text())
    operations = {op["operationId"] for item in DOCUMENT["paths"].values() for op in item.values()}
    assert outline.ids == operations | set(SCHEMAS)
    assert outline.links <= outline.ids
    assert outline.fetched == []


def test_the_page_escapes_what_it_shows() -> None:
    """Text of the document is never markup."""
    document = orjson.dumps(
        {
            "info": {"title": "<b>", "description": "<script>`<i>`"},
            "tags": [],
            "paths": {},
            "components": {"schemas": {}},
        }
    )
    page = docs_page(document)
    assert "<script>" not in page
    assert "<code>&lt;i&gt;</code>" in page
