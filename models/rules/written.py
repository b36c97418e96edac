"""Rules in the words of the file that declares them: what is shown could be a file again."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from models.rules.declared import PageRules, Repurchase, Shown, Span
from models.rules.fields import NEVER, SECONDS_OF

_WORDS = {"item_id": "item", "every_s": "every", "since": "from"}
"""What the file calls a field that is named otherwise here."""

_EXCLUDED = "excluded_"


def written(rules: PageRules) -> dict[str, Any]:
    """Return the rules of a page as YAML would hold them, without what is so anyway."""
    return dict(_words(rules))


def written_repurchase(repurchase: Repurchase) -> dict[str, Any]:
    """Return when what was bought may be shown again, as YAML would hold it."""
    told: dict[str, Any] = {"default": _window(repurchase.default)}
    if repurchase.categories:
        told["categories"] = {name: _window(ms) for name, ms in repurchase.categories.items()}
    return told


def _window(ms: int | None) -> str:
    return NEVER if ms is None else _time(ms // 1_000)


def _words(rule: Any) -> Iterator[tuple[str, object]]:  # noqa: ANN401 - any of the declared ones
    """Yield what a rule says, by its word."""
    for each in fields(rule):
        value = getattr(rule, each.name)
        if value == _usual(each) or each.name.startswith(_EXCLUDED):
            continue
        if isinstance(value, Span):
            yield from _words(value)
        else:
            yield _WORDS.get(each.name, each.name), _value(rule, each.name, value)
    if isinstance(rule, Shown):
        yield from _excluded(rule)


def _excluded(shown: Shown) -> Iterator[tuple[str, object]]:
    told = {"items": shown.excluded_items, "categories": shown.excluded_categories}
    if any(told.values()):
        yield "exclude", {name: list(each) for name, each in told.items() if each}


def _usual(each: Field[Any]) -> object:
    """Return what a field holds where nothing is said, `MISSING` where something must be."""
    return each.default if each.default_factory is MISSING else each.default_factory()


def _value(rule: object, name: str, value: Any) -> object:  # noqa: ANN401 - of any field
    if isinstance(rule, Span):
        return _moment(value)
    if name == "every_s":
        return _time(value)
    if is_dataclass(value):
        return dict(_words(value))
    if isinstance(value, tuple):
        return [dict(_words(each)) if is_dataclass(each) else each for each in value]
    return dict(value) if isinstance(value, Mapping) else value


def _time(seconds: float) -> str:
    """Return seconds as a time like 30m, in the largest unit of which they are a whole number."""
    sizes = sorted(SECONDS_OF.items(), key=lambda each: -each[1])
    unit, size = next(each for each in sizes if seconds % each[1] == 0)
    return f"{seconds / size:g}{unit}"


def _moment(ms: int) -> str:
    timespec = "auto" if ms % 60_000 else "minutes"
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(" ", timespec)
