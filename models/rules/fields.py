"""Reading a mapping field by field; each mistake is kept with its place, and reading goes on."""

import math
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, TypeVar

from features.errors import FieldError, InputError
from features.yaml_fields import unknown

Value = TypeVar("Value")
Parse = Callable[[object, str], Value]

_SPAN = re.compile(r"(\d{1,6})\s*([smhd])")
SECONDS_OF = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
NEVER = "never"
_EARLIEST, _LATEST = 1970, 2100


class Mistakes(list[FieldError]):
    """What is wrong, as it was found."""

    def raise_any(self, name: str) -> None:
        """Raise `InputError` with a line for each; `name` is the file's."""
        if self:
            raise InputError("\n".join(f"{name}: {each}" for each in self))


class Fields:
    """The fields of one mapping."""

    def __init__(self, raw: object, where: str, known: Collection[str], mistakes: Mistakes) -> None:
        """Take `raw`, which stands at `where`; names that are not `known` are mistakes."""
        self._where = where
        self._mistakes = mistakes
        self._raw: Mapping[str, Any] = {}
        self._is_readable = True
        if raw is None:
            return
        if not isinstance(raw, dict):
            mistakes.append(FieldError(where or "rules", f"expected a mapping, got {raw!r:.40}"))
            self._is_readable = False
            return
        mistakes += [
            FieldError(where, f"expected names, in quotes where in doubt, got {name!r:.40}")
            for name in raw
            if isinstance(name, bool) or not isinstance(name, str | int)
        ]
        self._raw = {str(name): value for name, value in raw.items()}
        mistakes += [
            FieldError(self.place(name), unknown(name, known))
            for name in self._raw
            if name not in known
        ]

    def __contains__(self, name: str) -> bool:
        """Tell whether the field is there, even if it says nothing."""
        return name in self._raw

    def items(self) -> Collection[tuple[str, Any]]:
        """Return names and values as they stand."""
        return self._raw.items()

    def place(self, name: str) -> str:
        """Return the dotted path of a field."""
        return f"{self._where}.{name}" if self._where else name

    def get(self, name: str, parse: Parse[Value], default: Value) -> Value:
        """Return what `parse` makes of a field, the default where it is absent or mistaken."""
        raw = self._raw.get(name)
        if raw is None:
            return default
        try:
            return parse(raw, self.place(name))
        except FieldError as error:
            self._mistakes.append(error)
            return default

    def need(self, name: str, parse: Parse[Value], default: Value) -> Value:
        """Return the same of a field that must be there."""
        if self._is_readable and self._raw.get(name) is None:
            self._mistakes.append(FieldError(self.place(name), "required"))
        return self.get(name, parse, default)

    def texts(self, name: str) -> tuple[str, ...] | None:
        """Return a list of names, None where the field is absent or mistaken."""
        raw = self._raw.get(name)
        if raw is None:
            return None
        if not isinstance(raw, list):
            self.wrong(name, f"expected a list of texts, got {raw!r:.40}")
            return None
        told = list[str]()
        for number, each in enumerate(raw):
            try:
                told.append(text(each, f"{self.place(name)}[{number}]"))
            except FieldError as error:
                self._mistakes.append(error)
        return tuple(told) if len(told) == len(raw) else None

    def each(
        self, name: str, parse: Callable[["Fields"], Value], known: Collection[str]
    ) -> list[Value]:
        """Return what `parse` makes of each mapping of a list."""
        raw = self._raw.get(name)
        if raw is None:
            return []
        if not isinstance(raw, list):
            wrong = f"expected a list of mappings, got {raw!r:.40}"
            self._mistakes.append(FieldError(self.place(name), wrong))
            return []
        places = (f"{self.place(name)}[{number}]" for number in range(len(raw)))
        return [
            parse(Fields(each, place, known, self._mistakes))
            for each, place in zip(raw, places, strict=True)
        ]

    def within(self, name: str, known: Collection[str]) -> "Fields":
        """Return the fields of a mapping in this one."""
        return Fields(self._raw.get(name), self.place(name), known, self._mistakes)

    def wrong(self, name: str, message: str) -> None:
        """Keep a mistake that several fields make together."""
        self._mistakes.append(FieldError(self.place(name), message))


def truth(raw: object, where: str) -> bool:
    """Return `raw` if it is true or false."""
    if not isinstance(raw, bool):
        raise FieldError(where, f"expected true or false, got {raw!r:.40}")
    return raw


def number(raw: object, where: str, low: float, high: float) -> float:
    """Return `raw` as a number within both ends."""
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not low <= raw <= high:
        bounds = f"of {low:g} or more" if math.isinf(high) else f"from {low:g} to {high:g}"
        raise FieldError(where, f"expected a number {bounds}, got {raw!r:.40}")
    return float(raw)


def whole(raw: object, where: str, low: int, high: int) -> int:
    """Return `raw` as a whole number within both ends."""
    if isinstance(raw, bool) or not isinstance(raw, int) or not low <= raw <= high:
        raise FieldError(where, f"expected a whole number from {low} to {high}, got {raw!r:.40}")
    return raw


def text(raw: object, where: str) -> str:
    """Return `raw` as a name; a number is one, too, but not what YAML takes for a truth."""
    if isinstance(raw, bool) or not isinstance(raw, str | int) or raw == "":
        raise FieldError(where, f"expected a text, in quotes where in doubt, got {raw!r:.40}")
    return str(raw)


def seconds(raw: object, where: str, least: float = 1) -> float:
    """Return the seconds that a time like 30m, 12h or 7d is."""
    told = _SPAN.fullmatch(raw) if isinstance(raw, str) else None
    if told is None or int(told[1]) * SECONDS_OF[told[2]] < least:
        raise FieldError(where, f"expected a time like 30m, 12h or 7d, got {raw!r:.40}")
    return float(int(told[1]) * SECONDS_OF[told[2]])


def window_ms(raw: object, where: str) -> int | None:
    """Return the milliseconds of a time, None for `never`."""
    if raw == NEVER:
        return None
    try:
        return int(seconds(raw, where) * 1_000)
    except FieldError:
        wrong = f"expected a time like 30m, 12h or 7d, or {NEVER}; got {raw!r:.40}"
        raise FieldError(where, wrong) from None


def moment_ms(raw: object, where: str) -> int:
    """Return the milliseconds since 1970 of a date or a time; without a zone it is UTC."""
    if isinstance(raw, str):  # YAML takes no time without seconds for one
        with suppress(ValueError):
            raw = datetime.fromisoformat(raw)
    if isinstance(raw, date) and not isinstance(raw, datetime):
        raw = datetime(raw.year, raw.month, raw.day, tzinfo=UTC)
    if not isinstance(raw, datetime) or not _EARLIEST <= raw.year < _LATEST:
        wrong = f"expected a date like 2026-12-01 or a time like 2026-12-01 18:00, got {raw!r:.40}"
        raise FieldError(where, wrong)
    return round((raw if raw.tzinfo else raw.replace(tzinfo=UTC)).timestamp() * 1_000)


share = partial(number, low=0, high=1)
amount = partial(number, low=0, high=math.inf)
