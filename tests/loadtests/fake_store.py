"""A small store over a real socket: keeps the HTTP contract, and can be slow, broken or unready.

Port from CUVEE_PORT; FAKE_MODE is ok, slow, degraded, wrong or dead; writes its process id
to FAKE_PID_FILE.
"""

import asyncio
import os
from pathlib import Path

from aiohttp import web

MODE = os.environ.get("FAKE_MODE", "ok")


async def recommend(request: web.Request) -> web.Response:
    """Answer a list that keeps the exclusions."""
    body = await request.json()
    if MODE == "slow":
        await asyncio.sleep(0.15)
    items = [f"item {n}/é" for n in range(20) if f"item {n}/é" not in body["exclude"]]
    shown = items[:1] * 2 if MODE == "wrong" else items[: body["k"]]
    return web.json_response(
        {
            "recommendation_id": "r",
            "user_id": body["user_id"],
            "items": [{"item_id": each, "score": 1.0, "reason": "x"} for each in shown],
            "source": "segment" if MODE == "degraded" else "model",
            "degraded": MODE == "degraded",
            "reason": "feature_timeout" if MODE == "degraded" else None,
        }
    )


async def items(_: web.Request) -> web.Response:
    """Answer any list."""
    return web.json_response({"items": [{"item_id": "a", "score": 1.0}]})


async def accept(request: web.Request) -> web.Response:
    """Accept events that are as the contract wants them."""
    batch = (await request.json())["events"]
    complete = all(
        each["user_id"] and each["item_id"] and each["event_id"] and each["recommendation_id"]
        for each in batch
    )
    status = 202 if complete else 422
    return web.json_response({"accepted": len(batch), "duplicates": 0}, status=status)


async def ready(_: web.Request) -> web.Response:
    """Say ready."""
    return web.Response()


def main() -> None:
    """Serve until told to stop."""
    Path(os.environ["FAKE_PID_FILE"]).write_text(str(os.getpid()))
    if MODE == "dead":
        raise SystemExit("no model, no service")
    app = web.Application()
    app.router.add_post("/v1/recommendations", recommend)
    app.router.add_post("/v1/events", accept)
    app.router.add_get("/v1/items/{id}/similar", items)
    app.router.add_get("/v1/popular", items)
    app.router.add_get("/readyz", ready)
    web.run_app(app, host=os.environ["CUVEE_HOST"], port=int(os.environ["CUVEE_PORT"]), print=None)


if __name__ == "__main__":
    main()
