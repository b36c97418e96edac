"""The code revision: the commit where there is one, else what the sources hold."""

import subprocess
from pathlib import Path

from models.code_revision import code_revision

AS_SOMEBODY = ("-c", "user.name=a", "-c", "user.email=a@example.org")


def git(root: Path, *words: str) -> str:
    """Run git in a directory."""
    command = ("git", "-C", str(root), *AS_SOMEBODY, *words)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def sources(root: Path) -> Path:
    """Write one source and return its path."""
    source = root / "models" / "one.py"
    source.parent.mkdir()
    source.write_text("ONE = 1\n")
    return source


def test_a_checkout_tells_its_commit(tmp_path: Path) -> None:
    """And whether files differ from it."""
    source = sources(tmp_path)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "One")
    commit = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert code_revision(tmp_path).endswith(f"+git.{commit}")
    source.write_text("ONE = 2\n")
    assert code_revision(tmp_path).endswith(f"+git.{commit}.changed")


def test_without_a_checkout_the_sources_count(tmp_path: Path) -> None:
    """Equal sources are one revision, others another; a broken checkout is none."""
    source = sources(tmp_path)
    first = code_revision(tmp_path)
    assert "+sha256." in first
    assert code_revision(tmp_path) == first
    source.write_text("ONE = 2\n")
    assert code_revision(tmp_path) != first
    (tmp_path / ".git").mkdir()
    assert "+sha256." in code_revision(tmp_path)
