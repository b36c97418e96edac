"""The figures of all sizes as a table and as a picture."""

from collections.abc import Sequence
from pathlib import Path

from loadtests.growth.size import Size
from loadtests.picture import picture

HEAD = (
    "| items | candidates from | recall@100 of the index | workers | CPU-ms | requests/s"
    " | p50 | p99 ms | memory MB | bundle MB | load s |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)
PROMOTIONS_HEAD = (
    "| items | promotions | s each | p99 ms before | during | after | slowest ms during"
    " | requests | failed | RSS MB before | most | after |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def table(sizes: Sequence[Size]) -> str:
    """Return a Markdown table with a row for each size and number of workers."""
    return "\n".join((HEAD, *(row for size in sizes for row in _rows(size))))


def promotions(sizes: Sequence[Size]) -> str:
    """Return a Markdown table of what promotions did, with a row for each size."""
    return "\n".join((PROMOTIONS_HEAD, *(_promotions_row(size) for size in sizes)))


def scaling(sizes: Sequence[Size]) -> str:
    """Return what two workers do per second of processor time, as a multiple of one."""
    told = [
        f"{size.items:,}: {2 * size.by_workers[1].cpu_ms / size.by_workers[2].cpu_ms:.2f}"
        for size in sizes
        if {1, 2} <= size.by_workers.keys() and not any(f.failed for f in size.by_workers.values())
    ]
    return f"two workers to one, per processor: {', '.join(told)}" if told else ""


def plot(sizes: Sequence[Size], path: Path) -> None:
    """Draw processor time and memory over the number of items into `path`."""
    with picture(path, 3, (10, 3)) as axes:
        items = [size.items for size in sizes]
        for workers in sizes[0].by_workers:
            told = [size.by_workers[workers] for size in sizes]
            name = f"{workers} worker{'s' if workers > 1 else ''}"
            axes[0].plot(items, [each.cpu_ms for each in told], "o-", label=name)
            axes[1].plot(items, [each.memory_mb for each in told], "o-", label=name)
        axes[2].plot(items, [size.load_s for size in sizes], "o-", label="verify, open, warm")
        titles = ("CPU-ms a request", "memory of all processes, MB", "seconds to load")
        for axis, title in zip(axes, titles, strict=True):
            axis.set(xscale="log", title=title, xlabel="items", ylim=(0, None))
            axis.legend(loc="upper left", frameon=False)


def _rows(size: Size) -> list[str]:
    whole = (f"{size.bundle_mb:,.1f}", f"{size.load_s:.2f}")
    rows: list[str] = []
    for workers, figures in size.by_workers.items():
        cells = (
            f"{size.items:,}",
            size.retrieval,
            f"{size.recall:.3f}",
            str(workers),
            f"{figures.cpu_ms:.3f}",
            f"{figures.rps:,.0f}{f' ({figures.failed:,} not ranked)' if figures.failed else ''}",
            f"{figures.p50_ms:.2f}",
            f"{figures.p99_ms:.2f}",
            f"{figures.memory_mb:,.0f}",
            *(whole if not rows else ("",) * len(whole)),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _promotions_row(size: Size) -> str:
    told = size.promoted
    cells = (
        f"{size.items:,}",
        str(told.promotions),
        f"{told.median_s:.2f}",
        *map(str, (told.before, told.during, told.after)),
        f"{told.slowest_ms:.1f}",
        f"{told.requests:,}",
        str(told.failed),
        *(f"{each:.1f}" for each in (told.rss_before_mb, told.rss_most_mb, told.rss_after_mb)),
    )
    return f"| {' | '.join(cells)} |"
