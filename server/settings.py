"""Everything that can be set, from the environment, checked once and all at once.

Precedence is simple: a variable that is set and not empty counts, else the default.
docs/settings.md explains each.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PREFIX = "CUVEE_"
_OTHERS = (
    "CUVEE_LOADTEST_",
    "CUVEE_FEATURES",
    "CUVEE_QUALITY",
    "CUVEE_MODEL_PRIVATE_KEY",
    "CUVEE_DRIFT",
    "CUVEE_OUTCOMES",
    "CUVEE_PERFORMANCE",
    "CUVEE_RESPONSE",
)
"""Read elsewhere: what features there are is decided before there are settings."""
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class Switch(StrEnum):
    """Whether there is something."""

    ON = "on"
    OFF = "off"


class SettingsError(Exception):
    """Variables that cannot be used; `mistakes` has a line for each."""

    def __init__(self, mistakes: list[str]) -> None:
        """Keep every mistake."""
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process."""

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    home: Path = Path("var")
    redis_url: str | None = field(default=None, repr=False)
    deadline_s: float = 0.100
    feature_timeout_s: float = 0.050
    cache_ttl_s: float = 300.0
    max_inflight: int = 256
    admin_token: str | None = field(default=None, repr=False)
    drain_s: float = 5.0
    log_level: str = "INFO"
    access_log_share: float = 0.01
    feature_log_share: float = 0.01
    list_log_mb: int = 1_024
    model_public_key: Path | None = None
    registry: str | None = None
    rules: Path | None = None
    cursor_key: str | None = field(default=None, repr=False)
    rollout: Path | None = None
    ui: Switch = Switch.ON

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Return the settings in `environment`; raise `SettingsError` naming every mistake."""
        values: dict[str, Any] = {}
        mistakes: dict[str, str] = {}
        for name, variable in VARIABLES.items():
            raw = environment.get(variable.name, "")
            if not raw:
                continue
            try:
                values[name] = variable.parse(raw)
            except ValueError:
                shown = "a value" if variable.secret else repr(raw[:80])
                mistakes[name] = f"{variable.name}: expected {variable.expected}, got {shown}"
        settings = cls(**values)
        if settings.feature_timeout_s > settings.deadline_s and "deadline_s" not in mistakes:
            told = settings.feature_timeout_s * 1e3
            most = f"at most CUVEE_DEADLINE_MS ({settings.deadline_s * 1e3:g})"
            mistakes["feature_timeout_s"] = (
                f"CUVEE_FEATURE_TIMEOUT_MS: expected {most}, got {told:g}"
            )
        if mistakes:
            raise SettingsError(list(mistakes.values()))
        return settings


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: how its text is read, and what is expected of it."""

    name: str
    parse: Callable[[str], Any]
    expected: str
    secret: bool = False


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        value = int(raw)
        if not low <= value <= high:
            raise ValueError
        return value

    return parse


def _number(low: float, high: float, scale: float = 1.0) -> Callable[[str], float]:
    def parse(raw: str) -> float:
        value = float(raw)
        if not math.isfinite(value) or not low <= value <= high:
            raise ValueError
        return value * scale

    return parse


def _word(raw: str) -> str:
    if not raw.isprintable() or raw != raw.strip():
        raise ValueError
    return raw


def _url(raw: str) -> str:
    parts = urlsplit(_word(raw))
    if parts.scheme not in URL_SCHEMES or not raw.partition("://")[2]:
        raise ValueError
    _ = parts.port  # raises ValueError where it is none
    return raw


def _registry(raw: str) -> str:
    parts = urlsplit(_word(raw))
    if "://" in raw and (parts.scheme != "s3" or not parts.netloc):
        raise ValueError
    return raw


def _level(raw: str) -> str:
    if raw.upper() not in LOG_LEVELS:
        raise ValueError
    return raw.upper()


def _switch(raw: str) -> Switch:
    return Switch(raw.lower())


URL_SCHEMES = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster")
MS = 1e-3

VARIABLES: Mapping[str, Variable] = {
    "host": Variable("CUVEE_HOST", _word, "an address or host name"),
    "port": Variable("CUVEE_PORT", _whole(1, 65_535), "an integer from 1 to 65535"),
    "workers": Variable("CUVEE_WORKERS", _whole(1, 64), "an integer from 1 to 64"),
    "home": Variable("CUVEE_HOME", Path, "a directory"),
    "redis_url": Variable(
        "CUVEE_REDIS_URL", _url, f"a url ({', '.join(f'{each}://' for each in URL_SCHEMES)})", True
    ),
    "deadline_s": Variable(
        "CUVEE_DEADLINE_MS", _number(10, 60_000, MS), "milliseconds from 10 to 60000"
    ),
    "feature_timeout_s": Variable(
        "CUVEE_FEATURE_TIMEOUT_MS", _number(1, 60_000, MS), "milliseconds from 1 to 60000"
    ),
    "cache_ttl_s": Variable(
        "CUVEE_CACHE_TTL_S", _number(0, 86_400), "seconds from 0 (no cache) to 86400"
    ),
    "max_inflight": Variable(
        "CUVEE_MAX_INFLIGHT", _whole(1, 100_000), "an integer from 1 to 100000"
    ),
    "admin_token": Variable("CUVEE_ADMIN_TOKEN", _word, "printable characters", True),
    "drain_s": Variable("CUVEE_DRAIN_S", _number(0, 3_600), "seconds from 0 to 3600"),
    "log_level": Variable("CUVEE_LOG_LEVEL", _level, f"one of {', '.join(LOG_LEVELS)}"),
    "access_log_share": Variable(
        "CUVEE_ACCESS_LOG_SHARE", _number(0, 1), "a share from 0 (none) to 1 (all)"
    ),
    "feature_log_share": Variable(
        "CUVEE_FEATURE_LOG_SHARE", _number(0, 1), "a share from 0 (none) to 1 (all)"
    ),
    "list_log_mb": Variable(
        "CUVEE_LIST_LOG_MB", _whole(0, 1_048_576), "megabytes from 0 (no log) to 1048576"
    ),
    "model_public_key": Variable("CUVEE_MODEL_PUBLIC_KEY", Path, "a file"),
    "registry": Variable("CUVEE_REGISTRY", _registry, "s3://BUCKET/PREFIX or a directory"),
    "rules": Variable("CUVEE_RULES", Path, "a YAML file"),
    "cursor_key": Variable("CUVEE_CURSOR_KEY", _word, "printable characters", True),
    "rollout": Variable("CUVEE_ROLLOUT", Path, "a file"),
    "ui": Variable("CUVEE_UI", _switch, " or ".join(Switch)),
}
"""Each field of `Settings`, and where it comes from."""


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return a line for each `CUVEE_` variable that nothing reads, with the nearest that is."""
    known = [variable.name for variable in VARIABLES.values()]
    lines = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known and not name.startswith(_OTHERS):
            near = get_close_matches(name, known, 1)
            lines.append(f"{name} is not read" + (f"; did you mean {near[0]}?" if near else ""))
    return lines
