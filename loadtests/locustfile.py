"""Shoppers of a store, as its pages would ask for them: browse, click, fill a basket, buy.

`python -m loadtests run` is the usual way in; by hand, from the project's root:
`python -m locust -f loadtests/locustfile.py --headless --host http://127.0.0.1:8080 --shape spike`
"""

# locust types neither its event hooks nor its run time, gevent nothing.
# mypy: disable-error-code="untyped-decorator, no-untyped-call, import-untyped"

import random
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gevent
import orjson
from locust import FastHttpUser, LoadTestShape, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from loadtests.shapes import SHAPES, phase_at
from loadtests.shoppers import DEFAULT_COUNT, Shoppers, read_shoppers
from loadtests.tally import Tally

SOURCES = {"cache", "model", "segment", "global"}
DEVICES = ("mobile", "desktop", "tablet")
COUNTRIES = ("FR", "US", "DE", "BR", "IT")
REQUESTS_A_SECOND = 2


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    """Declare what a run can be told; each option can come from the environment."""
    add = parser.add_argument
    add("--shape", choices=sorted(SHAPES), default="smoke", env_var="CUVEE_LOADTEST_SHAPE")
    add("--time-scale", type=float, default=1.0, env_var="CUVEE_LOADTEST_TIME_SCALE")
    add("--shoppers", default="", env_var="CUVEE_LOADTEST_USERS", help="file of ids, one a line")
    add("--shopper-count", type=int, default=DEFAULT_COUNT, env_var="CUVEE_LOADTEST_COUNT")
    add("--result", default="", env_var="CUVEE_LOADTEST_RESULT", help="where to write the figures")


class Run:
    """The shoppers and figures of the run under way."""

    shoppers: Shoppers
    tally: Tally


def options_of(environment: Environment | None) -> Any:  # noqa: ANN401 - a namespace
    """Return the parsed command line."""
    return None if environment is None else environment.parsed_options


@events.test_start.add_listener
def begin(environment: Environment, **_: object) -> None:
    """Start with an empty tally and the shoppers of this run."""
    options = options_of(environment)
    Run.shoppers = Shoppers(read_shoppers(options.shoppers, options.shopper_count))
    Run.tally = Tally()


@events.request.add_listener
def count(name: str, response_time: float, exception: object, **_: object) -> None:
    """Count one request."""
    Run.tally.request(name, response_time, exception)


@events.test_stop.add_listener
def finish(environment: Environment, **_: object) -> None:
    """Hand the figures over."""
    options = options_of(environment)
    if options.result:
        Run.tally.write(Path(options.result), options.shape)


class ShapeOfTheRun(LoadTestShape):
    """Follows the phases of the chosen shape."""

    def tick(self) -> tuple[int, float] | None:
        """Return the users of now and how fast they come, None at the end."""
        options = options_of(self.runner.environment if self.runner else None)
        phase = phase_at(options.shape, self.get_run_time(), options.time_scale)
        return None if phase is None else (phase.users, phase.spawn_rate)


class Storefront(FastHttpUser):
    """Somebody looking at a shop; who, is for the subclasses to say."""

    abstract = True
    connection_timeout = 5.0
    network_timeout = 5.0

    def on_start(self) -> None:
        """Begin a first visit, at a moment of one's own: locust starts its users in salvos."""
        gevent.sleep(random.uniform(0, 1 / REQUESTS_A_SECOND))
        self.due = time.perf_counter()
        self.arrive()

    def wait_time(self) -> float:
        """Return the seconds until the next page, so that pages come as a Poisson stream.

        They are due whether or not the last answer was late: what a stall held up is asked for
        right after it. Locust's own constant throughput falls into step, and measures convoys.
        """
        self.due += random.expovariate(REQUESTS_A_SECOND)
        return max(0.0, self.due - time.perf_counter())

    def identity(self) -> str:
        """Return the user id of a new visit."""
        raise NotImplementedError

    def arrive(self) -> None:
        """Begin a visit: somebody, with a session, who has seen nothing yet."""
        self.user_id = self.identity()
        self.session_id = f"s-{uuid.uuid4().hex}"
        self.device = random.choice(DEVICES)
        self.country = random.choice(COUNTRIES)
        self.shelf: list[str] = []
        self.recommendation_id: str | None = None
        self.basket: list[str] = []

    @task(30)
    def home(self) -> None:
        """Open the home page."""
        self.recommend({"page": "home"})

    @task(20)
    def product(self) -> None:
        """Open the page of an item that was shown."""
        if not self.shelf:
            self.home()
            return
        item_id = random.choice(self.shelf)
        self.recommend({"page": "product", "item_id": item_id}, exclude=[item_id])

    @task(10)
    def similar(self) -> None:
        """Look at what resembles an item that was shown."""
        if not self.shelf:
            self.home()
            return
        path = f"/v1/items/{quote(random.choice(self.shelf), safe='')}/similar?k=10"
        with self.client.get(path, name="similar", catch_response=True) as response:
            fault = list_fault(parsed(response.content), set())
            if response.status_code != 200 or fault:
                response.failure(fault or f"HTTP {response.status_code}")

    @task(3)
    def popular(self) -> None:
        """Open the list of favourites."""
        with self.client.get("/v1/popular?k=10", name="popular", catch_response=True) as response:
            fault = list_fault(parsed(response.content), set())
            if response.status_code != 200 or fault:
                response.failure(fault or f"HTTP {response.status_code}")

    @task(15)
    def click(self) -> None:
        """Click an item, after the impressions of the list it stood in."""
        if not self.shelf:
            self.home()
            return
        shown = [self.event("impression", item_id) for item_id in self.shelf]
        self.send([*shown, self.event("click", random.choice(self.shelf))])

    @task(6)
    def add_to_cart(self) -> None:
        """Put an item into the basket."""
        if not self.shelf:
            self.home()
            return
        item_id = random.choice(self.shelf)
        self.basket.append(item_id)
        self.send([self.event("add_to_cart", item_id)])

    @task(3)
    def buy(self) -> None:
        """Buy the basket, or one item at once."""
        items = self.basket or self.shelf[:1]
        if not items:
            self.home()
            return
        self.basket = []
        self.send([self.event("purchase", each, round(random.uniform(5, 80), 2)) for each in items])

    @task(4)
    def leave(self) -> None:
        """End the visit; the next one begins at the home page."""
        self.arrive()
        self.home()

    def recommend(self, context: dict[str, Any], exclude: list[str] | None = None) -> None:
        """Ask for a list and check that it is one."""
        hidden = exclude or []
        place = {"device": self.device, "location": {"country": self.country}}
        body = {
            "user_id": self.user_id,
            "k": 10,
            "context": context | place,
            "exclude": hidden,
            "session_id": self.session_id,
        }
        with self.client.post(
            "/v1/recommendations", json=body, name="recommendations", catch_response=True
        ) as response:
            answer = parsed(response.content)
            fault = f"HTTP {response.status_code}" if response.status_code != 200 else None
            fault = fault or list_fault(answer, set(hidden))
            if fault is None and answer.get("source") not in SOURCES:
                fault = f"unknown source {answer.get('source')!r}"
            if fault:
                response.failure(fault)
                return
        Run.tally.answer(answer)
        self.shelf = [item["item_id"] for item in answer["items"]]
        self.recommendation_id = answer["recommendation_id"]

    def event(self, kind: str, item_id: str, value: float | None = None) -> dict[str, Any]:
        """Return an event of this visit about the list last shown."""
        return {
            "event_id": uuid.uuid4().hex,
            "type": kind,
            "user_id": self.user_id,
            "item_id": item_id,
            "timestamp": time.time(),
            "value": value,
            "recommendation_id": self.recommendation_id,
            "session_id": self.session_id,
        }

    def send(self, batch: list[dict[str, Any]]) -> None:
        """Post events; all of them have to be accepted."""
        with self.client.post(
            "/v1/events", json={"events": batch}, name="events", catch_response=True
        ) as response:
            accepted = parsed(response.content).get("accepted")
            if response.status_code != 202 or accepted != len(batch):
                response.failure(
                    f"HTTP {response.status_code}, accepted {accepted} of {len(batch)}"
                )


class Shopper(Storefront):
    """A known shopper; a few come again and again."""

    weight = 8

    def identity(self) -> str:
        """Return a known id, drawn by popularity."""
        return Run.shoppers.draw()


class Visitor(Storefront):
    """Nobody is logged in: the session stands for the shopper."""

    weight = 1

    def identity(self) -> str:
        """Return an id nobody has seen."""
        return f"anonymous-{uuid.uuid4().hex}"


class Newcomer(Storefront):
    """A shopper who registered today, and looks at the favourites first."""

    weight = 1

    def identity(self) -> str:
        """Return an id nobody has seen."""
        return f"new-{uuid.uuid4().hex}"

    def on_start(self) -> None:
        """Begin with the favourites."""
        super().on_start()
        self.popular()


def parsed(content: bytes | None) -> dict[str, Any]:
    """Return the JSON object in `content`, an empty one for anything else."""
    try:
        body = orjson.loads(content or b"")
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def list_fault(answer: dict[str, Any], hidden: set[str]) -> str | None:
    """Return what is wrong with a list of items, None if it can be shown."""
    items = answer.get("items")
    if not isinstance(items, list) or not items:
        return "no items"
    ids = [str(item.get("item_id")) for item in items]
    if len(set(ids)) != len(ids):
        return "an item twice"
    return "an excluded item" if hidden.intersection(ids) else None
