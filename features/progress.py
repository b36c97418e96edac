"""Progress bars: rich on a terminal, nothing in a pipe.

with progress("training", total=5) as bar:
    bar.advance(1)
"""

import sys
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")


class Bar(Protocol):
    """A bar under way."""

    def advance(self, steps: float = 1) -> None:
        """Move on by `steps`."""
        ...


class _Silent:
    def advance(self, steps: float = 1) -> None:
        """Show nothing."""


@contextmanager
def progress(label: str, total: float | None = None) -> Iterator[Bar]:
    """Show a bar of `total` steps on stderr (a pulse if None), where that is a terminal."""
    if not sys.stderr.isatty():
        yield _Silent()
        return
    from rich.console import Console  # noqa: PLC0415 (a pipe needs no rich)
    from rich.progress import Progress, TaskID  # noqa: PLC0415

    class _Shown:
        def __init__(self, shown: Progress, task: TaskID) -> None:
            self._shown = shown
            self._task = task

        def advance(self, steps: float = 1) -> None:
            self._shown.advance(self._task, steps)

    with Progress(console=Console(stderr=True), transient=True) as shown:
        yield _Shown(shown, shown.add_task(label, total=total))


def track(items: Iterable[T], label: str, total: float | None = None) -> Iterator[T]:
    """Yield `items` while a bar shows how many have passed."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress(label, total) as bar:
        for item in items:
            yield item
            bar.advance()
