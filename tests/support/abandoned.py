"""What is left of a scratch folder whose maker was killed."""

from pathlib import Path

from features.scratch import LOCK, WORK


def abandoned(root: Path, prefix: str) -> Path:
    """Leave a folder in `root`, as of who was killed in it, and return where the work lies."""
    work = root / f"{prefix}killed" / WORK
    work.mkdir(parents=True)
    (work.parent / LOCK).touch()
    return work
