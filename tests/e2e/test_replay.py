"""A month of events through the real service: what it knew at any moment is what tables say of it.

The clock of the service, its store and its consumers is set on between requests, over a leap day
and both kinds of summer time. Clients' clocks are wrong, events come late, in any order, and twice.
"""

import shutil
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from features.computation.point_in_time import known_at
from features.declared import FEATURE_NAMES
from features.eventlog import NO_RECORDS, EventLog
from features.events import TYPE_CODES, EventType, Records, type_codes
from features.history import HISTORY_CAP, RECENT_CAP, RECENT_TYPES
from features.moments import Moment
from features.offline.store import OfflineStore
from tests.support.process import ROOT, Service

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
pytestmark = [
    pytest.mark.skipif(
        not LIBRARIES or shutil.which("faketime") is None, reason="libfaketime is not installed"
    ),
    pytest.mark.timeout(300),
]
TOKEN = "t0ken"
BEGIN = datetime(2024, 2, 27, tzinfo=UTC).timestamp()
END = datetime(2024, 4, 2, tzinfo=UTC).timestamp()
KINDS = list(EventType)
TWICE_WITHIN_S = 5 * 3_600
"""An id is remembered for at least six hours."""


class Clock:
    """The time of day of the processes that look at `path`."""

    def __init__(self, path: Path) -> None:
        """Begin at `BEGIN`."""
        self._path = path
        self._ahead = BEGIN - time.time()
        self.set_on(0)

    @property
    def now(self) -> float:
        """Return the time in these processes, in seconds."""
        return time.time() + self._ahead

    def set_on(self, seconds: float) -> None:
        """Let so much time pass."""
        self._ahead += seconds
        scratch = self._path.with_suffix(".new")
        scratch.write_text(f"{self._ahead:+.3f}\n")
        scratch.replace(self._path)  # it is read all the time

    def environment(self) -> dict[str, str]:
        """Return what makes a process look here."""
        return {
            "PYTHONPATH": str(ROOT / "loadtests" / "faults" / "faketime"),
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }


class Storefront:
    """Sends events of five shoppers, of whom the first does most; nothing it says is in order."""

    def __init__(self, service: Service, seed: int) -> None:
        """Send to `service`."""
        self._service = service
        self._random = np.random.default_rng(seed)
        self._sent: list[tuple[float, dict[str, Any]]] = []
        self._late: list[dict[str, Any]] = []

    def send(self, now: float) -> None:
        """Send some new events, some that were held back, and some again."""
        random = self._random
        new = [self._event(now) for _ in range(int(random.integers(1, 12)))]
        held = [each for each in new if random.random() < 0.1]
        told = [each for each in new if each not in held] + self._late[:3]
        self._late = self._late[3:] + held
        again = [each for at, each in self._sent[-60:] if now - at < TWICE_WITHIN_S]
        again = [each for each in again if random.random() < 0.1]
        events = [*told, *again]
        if not events:
            return
        random.shuffle(events)
        status, body = self._service.post("/v1/events", {"events": events})
        assert status == 202, body
        assert orjson.loads(body) == {"accepted": len(told), "duplicates": len(again)}
        self._sent += [(now, each) for each in told]

    @property
    def accepted(self) -> int:
        """Return how many events were taken."""
        return len(self._sent)

    def shopper(self) -> str:
        """Return one of those who may be asked about; one of them never did anything."""
        return f"u{self._random.integers(0, 6)}"

    def wait_s(self) -> float:
        """Return how long nothing happens now: seconds, or minutes, or most of a day."""
        longest = (30, 3_600, 50_000)[self._random.choice(3, p=(0.3, 0.45, 0.25))]
        return float(self._random.uniform(1, longest))

    def _event(self, now: float) -> dict[str, Any]:
        random = self._random
        user = 0 if random.random() < 0.7 else random.integers(0, 5)
        kind = KINDS[int(random.integers(0, len(KINDS)))]
        skew = (0.0, random.uniform(-90, 90), -86_400.0)[int(random.integers(0, 3))]
        return {
            "event_id": f"{random.integers(0, 2**60):x}",
            "type": kind,
            "user_id": f"u{user}",
            "item_id": f"i{random.integers(0, 40)}",
            "timestamp": now + skew,
            "value": round(float(random.uniform(0, 5)), 2),
        }


def known(service: Service, user_id: str) -> dict[str, Any]:
    """Return what the service says of a shopper."""
    request = urllib.request.Request(
        f"{service.url}/v1/users/{user_id}", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        told: dict[str, Any] = orjson.loads(answer.read())
        return told


def replayed(home: Path, seed: int) -> tuple[list[dict[str, Any]], int]:
    """Let a month pass; return what was known at many moments, and how many events were taken."""
    clock = Clock(home / "clock")
    seen: list[dict[str, Any]] = []
    with Service(home, CUVEE_ADMIN_TOKEN=TOKEN, **clock.environment()) as service:
        storefront = Storefront(service, seed)
        while clock.now < END:
            storefront.send(clock.now)
            clock.set_on(storefront.wait_s())
            seen += [known(service, storefront.shopper()) for _ in range(2)]
        service.until(lambda: OfflineStore(home).count("events") == storefront.accepted)
    return seen, storefront.accepted


@pytest.mark.slow
def test_a_month_is_known_online_as_the_tables_tell_it(home: Path) -> None:
    """Every feature at every moment, to the bit, and what was missing."""
    seen, accepted = replayed(home, seed=5)

    log = OfflineStore(home).event_log()
    assert len(log.records) == accepted > 1_500
    assert len(log.of(log.user_ids.index("u0"))) > 2 * (RECENT_CAP + HISTORY_CAP)
    for told in seen:
        as_of_ms = round(told["as_of"] * 1_000)
        past = events_of(log, told["user_id"], as_of_ms)
        assert told["known"] == bool(len(past)), told
        if told["known"]:
            user = log.user_ids.index(told["user_id"])
            vectors = known_at(log, [user], [Moment(as_of_ms)]).vectors()
            values = zip(vectors.values[0].tolist(), vectors.missing[0].tolist(), strict=True)
            expected = [None if missing else value for value, missing in values]
            assert told["features"] == dict(zip(FEATURE_NAMES, expected, strict=True)), told
    assert sum(told["known"] for told in seen) > 300
    days = {datetime.fromtimestamp(each["as_of"], UTC).date().isoformat() for each in seen}
    assert days > {"2024-02-29", "2024-03-10", "2024-03-31"}


def events_of(log: EventLog, user_id: str, before_ms: int) -> Records:
    """Return what a shopper did before a moment that is kept at all."""
    if user_id not in log.user_ids:
        return NO_RECORDS
    events = log.of(log.user_ids.index(user_id))
    is_kept = np.isin(type_codes(events), [TYPE_CODES[kind] for kind in RECENT_TYPES])
    return events[is_kept & (events["ts"] < before_ms)]
