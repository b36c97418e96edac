"""A file is there whole or not at all, and an error names it."""

from pathlib import Path

import pytest

from features.whole_file import replace_file
from tests.support.limits import no_room


def test_a_file_without_room_stays_as_it_was(tmp_path: Path) -> None:
    """Nothing lies beside it, and the error says where there is no room; with room it is taken."""
    path = tmp_path / "told.json"
    replace_file(path, "before")

    with no_room(100), pytest.raises(OSError, match=r"File too large: .*told\.json"):
        replace_file(path, "x" * 101)

    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    replace_file(path, "x" * 101)
    assert path.read_text() == "x" * 101


def test_links_and_devices_stay_what_they_are(tmp_path: Path) -> None:
    """A page may be told to /dev/stdout, or lie elsewhere."""
    (tmp_path / "elsewhere").write_text("before")
    (tmp_path / "link").symlink_to("elsewhere")
    (tmp_path / "device").symlink_to("/dev/null")
    for name in ("link", "device"):
        replace_file(tmp_path / name, "told")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere").read_text() == "told"
    assert (tmp_path / "device").is_char_device()
