"""The work behind FastAPI and uvicorn: `fastapi_peer PORT`, what it needs in the environment."""

import os
import sys
from pathlib import Path

import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from redis.asyncio import Redis

from loadtests.bench.servers.work import PATH, Work, keys_of


def application(url: str, home: Path) -> FastAPI:
    """Return the application: one MGET and one run of the model a request."""
    work, redis, app = Work(home), Redis.from_url(url, max_connections=64), FastAPI()

    @app.post(PATH)
    async def recommend(request: Request) -> Response:
        body = orjson.loads(await request.body())
        (answer,) = work.answers([body], await redis.mget(keys_of(body)))
        return Response(answer, media_type="application/json")

    @app.get("/readyz")
    async def ready() -> Response:
        return Response()

    return app


if __name__ == "__main__":
    uvicorn.run(
        application(os.environ["BENCH_URL"], Path(os.environ["BENCH_HOME"])),
        port=int(sys.argv[1]),
        access_log=False,
        log_level="error",
    )
