"""A page that somebody asked for, in the file that they named."""

from pathlib import Path

from features.errors import InputError
from models.directory import replace_file


def write_page(path: Path, page: str) -> Path:
    """Write a page whole or not at all, its directory too, and return `path`.

    Raises `InputError` where it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, page.encode())
    except OSError as error:
        raise InputError(f"{path}: not written: {error.strerror or error}") from None
    return path
