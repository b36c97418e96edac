"""What is held back, by name: for those who only count it."""

from pathlib import Path

REPORT = "report.json"


def held_names(home: Path) -> list[str]:
    """Return the ids of what is held back in a home, in order; each begins with its gate."""
    return sorted(path.parent.name for path in (home / "quarantine").glob(f"[!.]*/{REPORT}"))
