"""Which latencies are told apart: the objectives are bounds of buckets, so shares are exact."""

from typing import Final

SLOW_REQUEST_S: Final = 0.2
LATENCY_BUCKETS_S: Final = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.15,
    SLOW_REQUEST_S,
    0.3,
    0.5,
)
