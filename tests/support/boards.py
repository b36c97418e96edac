"""Grafana's boards, and their queries as Prometheus gets them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
BOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
_VARIABLES = {"$__rate_interval": "1m", "$__range": "1h", "$job": ".*", "$instance": ".*"}
"""What Grafana puts in their places."""

_LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")


def read(path: Path) -> dict[str, Any]:
    """Return a board."""
    board: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return board


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all panels that show something."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def shown(board: dict[str, Any]) -> Iterator[str]:
    """Yield the queries of panels."""
    for panel in panels(board):
        yield from (_filled(target["expr"]) for target in panel["targets"])


def queries(board: dict[str, Any]) -> Iterator[str]:
    """Yield the queries of panels, annotations and variables."""
    yield from shown(board)
    yield from (_filled(each["expr"]) for each in board["annotations"]["list"])
    for each in board["templating"]["list"]:
        if each["type"] == "query":
            found = _LABEL_VALUES.fullmatch(each["query"]["query"])
            assert found is not None
            yield _filled(found[1])


def _filled(query: str) -> str:
    for variable, value in _VARIABLES.items():
        query = query.replace(variable, value)
    assert "$" not in query, query
    return query
