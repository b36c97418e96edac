"""Pages in files that people name."""

from pathlib import Path

import pytest

from features.errors import InputError
from models.page_file import write_page
from tests.support.limits import no_room


def test_a_page_is_written_with_its_directory(tmp_path: Path) -> None:
    """Whole, in the place of what was there."""
    path = tmp_path / "reports" / "october" / "page.html"
    for page in ("one", "another"):
        assert write_page(path, page) == path
        assert path.read_text() == page


def test_a_page_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The error names the path that was given, and nothing is half-written."""
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/page\.html: not written: "):
        write_page(tmp_path / "file" / "page.html", "page")
    with no_room(), pytest.raises(InputError, match=r"page\.html: not written: File too large"):
        write_page(tmp_path / "page.html", "page")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
