"""The work behind mosec, batched: `mosec_peer --port PORT`, URL and HOME in the environment.

Its Rust front collects up to 32 requests for at most a millisecond, as in its own examples.
"""

import os
from pathlib import Path

import orjson
from mosec import Server, Worker
from redis import Redis

from loadtests.bench.servers.work import MAX_BATCH, PATH, Work, keys_of

WAIT_MS = 1


class Ranker(Worker):  # type: ignore[misc]
    """Answers a batch with one MGET and one run of the model."""

    def __init__(self) -> None:
        """Open what a worker needs, in the worker."""
        super().__init__()
        self._work = Work(Path(os.environ["BENCH_HOME"]))
        self._redis = Redis.from_url(os.environ["BENCH_URL"])

    def deserialize(self, data: bytes) -> object:
        """Return the request's body."""
        return orjson.loads(data)

    def forward(self, data: list[dict[str, object]]) -> list[bytes]:
        """Return an answer for each body."""
        return self._work.answers(
            data, self._redis.mget([key for body in data for key in keys_of(body)])
        )

    def serialize(self, data: bytes) -> bytes:
        """Send what was put together."""
        return data


if __name__ == "__main__":
    server = Server()
    server.append_worker(Ranker, max_batch_size=MAX_BATCH, max_wait_time=WAIT_MS, route=PATH)
    server.run()
