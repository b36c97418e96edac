"""What a PromQL expression reads: the names in it that are no words of the language."""

import re
from collections.abc import Iterable

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)")
_BRACES = re.compile(r"\{[^{}]*\}")
_RANGE = re.compile(r"\[[^\[\]]*\]")
_OFFSET = re.compile(r"\boffset\s+\w+")
_NAME = re.compile(r"(?<![\w:.])[a-zA-Z_:][\w:]*(?!\s*\(|[\w:])")
_WORDS = {"and", "or", "unless", "bool"}


def metrics_of(expression: str) -> set[str]:
    """Return the names of the series that an expression reads."""
    for part in (_TEXT, _LABELS, _BRACES, _RANGE, _OFFSET):
        expression = part.sub(" ", expression)
    return set(_NAME.findall(expression)) - _WORDS


def all_metrics_of(expressions: Iterable[str]) -> set[str]:
    """Return the names of the series that any of the expressions reads."""
    return {name for each in expressions for name in metrics_of(each)}
