"""Which code trains: the commit it was checked out from, or what its files hold."""

import subprocess
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_ROOMS = ("features", "models")


def code_revision(root: Path = _ROOT) -> str:
    """Return `0.1.0+git.COMMIT`, with `.changed` where files differ from it.

    Where there is no checkout or no git it is `0.1.0+sha256.HEX`, of the sources that train.
    """
    return f"{_version()}+{_git(root) or sources(root)}"


def _version() -> str:
    try:
        return version("cuvee")
    except PackageNotFoundError:
        return "0"


def _git(root: Path) -> str | None:
    if not (root / ".git").exists():
        return None
    try:
        commit = _asked(root, "rev-parse", "--short=12", "HEAD")
        changed = _asked(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"git.{commit}{'.changed' if changed else ''}"


def _asked(root: Path, *words: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own words
        ("git", "-C", str(root), *words),  # noqa: S607 - whichever git there is
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return done.stdout.strip()


def sources(root: Path = _ROOT) -> str:
    """Return a checksum of the sources that train, `sha256.HEX`."""
    digest = sha256()
    for room in _ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            digest.update(f"{path.relative_to(root)}\n".encode())
            digest.update(path.read_bytes())
    return f"sha256.{digest.hexdigest()[:12]}"
