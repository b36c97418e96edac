"""Findings for those who act on them."""

from typing import Any

from monitoring.finding import Finding, Kind, Severity

HOUR_S = 3_600.0
START_S = 1_767_225_600.0
"""2026-01-01 00:00 UTC."""


def found(window: int = 0, **fields: Any) -> Finding:
    """Return a finding of an hour since `START_S`: drift of `spend`, high, of model `v1`."""
    start_s = START_S + window * HOUR_S
    told: dict[str, Any] = {
        "kind": Kind.DRIFT,
        "subject": "spend",
        "severity": Severity.HIGH,
        "value": 0.4,
        "threshold": 0.05,
        "effect": 0.4,
        "start_s": start_s,
        "end_s": start_s + HOUR_S,
        "version": "v1",
        "at_s": start_s + HOUR_S,
        **fields,
    }
    return Finding(**told)
