"""Whether traces are wanted: OpenTelemetry's own variables say so, its packages come after that.

Nothing here keeps the service from serving: what cannot be traced is a warning.
"""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from server.tracing.spans import Spans

log = logging.getLogger(__name__)

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL: Final = "http/protobuf"


class TracesError(Exception):
    """A variable that asks for what there is not."""


def wanted_spans(environment: Mapping[str, str], dropped: Callable[[int], None]) -> "Spans | None":
    """Return what sends spans, None where nobody asks for it, or in vain: that is logged.

    `dropped` hears of spans that were not taken, on another thread.
    """
    try:
        if not is_wanted(environment):
            return None
        from server.tracing.spans import Spans  # noqa: PLC0415 - a quarter of a second

        return Spans(dropped)
    except ModuleNotFoundError as error:
        log.warning("no traces: they need %s, pip install 'cuvee[otel]'", error.name)
    except Exception as error:  # noqa: BLE001 - the packages read variables of their own
        log.warning("no traces: %s", error)
    return None


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Tell whether the variables ask for traces; raise `TracesError` for what cannot be done."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "")
    endpoint = _first(environment, _ENDPOINTS)
    if exporter == "none" or not (exporter or endpoint[1]):
        return False
    if exporter not in {"", "otlp"}:
        raise TracesError(f"OTEL_TRACES_EXPORTER: expected otlp or none, got {exporter!r:.40}")
    name, protocol = _first(environment, _PROTOCOLS)
    if protocol not in {"", _PROTOCOL}:
        raise TracesError(f"{name}: expected {_PROTOCOL}, got {protocol!r:.40}")
    name, url = endpoint
    if url and not url.startswith(("http://", "https://")):
        raise TracesError(f"{name}: expected an http:// or https:// url, got {url!r:.80}")
    return True


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str]:
    """Return the first of the variables that is set, and what it says."""
    told = ((name, environment.get(name, "")) for name in names)
    return next((each for each in told if each[1]), ("", ""))
