"""What aiohttp costs without any work: `python -m loadtests.bench.servers.ceiling PORT [URL]`.

Every request gets the same answer of a usual size; with the URL of a Redis, after one GET.
"""

import sys

import orjson
import uvloop
from aiohttp import web
from redis.asyncio import Redis

ITEMS = [{"item_id": f"item-{n:06d}", "score": n + 0.1234, "reason": "popular"} for n in range(10)]
ANSWER = orjson.dumps({"user_id": "shopper-000001", "items": ITEMS, "source": "model"})


async def constant(request: web.Request) -> web.Response:
    """Answer with what every request gets."""
    await request.read()
    return web.Response(body=ANSWER, content_type="application/json")


class AfterOneGet:
    """Answers the same once Redis has answered."""

    def __init__(self, url: str) -> None:
        """Use the Redis at `url`."""
        self._redis = Redis.from_url(url, max_connections=64)

    async def __call__(self, request: web.Request) -> web.Response:
        """Get a shopper's value, then answer."""
        user_id = orjson.loads(await request.read())["user_id"]
        await self._redis.get(f"{{u:{user_id}}}:r")
        return web.Response(body=ANSWER, content_type="application/json")


async def healthy(_: web.Request) -> web.Response:
    """Say that it is up."""
    return web.Response()


def application(arguments: list[str]) -> web.Application:
    """Return the application for the command line's arguments."""
    app = web.Application()
    app.router.add_post("/v1/recommendations", AfterOneGet(arguments[0]) if arguments else constant)
    app.router.add_get("/readyz", healthy)
    return app


if __name__ == "__main__":
    uvloop.install()
    port, *rest = sys.argv[1:]
    web.run_app(
        application(rest), host="127.0.0.1", port=int(port), access_log=None, print=lambda *_: None
    )
