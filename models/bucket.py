"""A prefix of an S3-compatible bucket, through fsspec and s3fs (the extra `s3`).

Credentials, region and endpoint are botocore's: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_DEFAULT_REGION, AWS_ENDPOINT_URL and others, or ~/.aws.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError
from fsspec.core import url_to_fs
from s3fs.core import S3_RETRYABLE_ERRORS

from models.storage import Entry

_PROBE = "history/.conditional"
_CONNECT_S = 3
_READ_S = 7
"""Without a byte; whoever waits for an answer over HTTP waits for both."""

_TRIES = 1
"""What is over at once is tried again later, by whoever asks."""


class Bucket:
    """Everything below a URL like `s3://bucket/prefix`.

    `create` is S3's conditional write (If-None-Match: *). A store that ignores it is refused.
    """

    def __init__(self, url: str) -> None:
        """Connect to nothing yet."""
        self._url = url.rstrip("/")
        config = {
            "connect_timeout": _CONNECT_S,
            "read_timeout": _READ_S,
            "retries": {"max_attempts": 0},
        }
        self._fs: Any
        self._fs, self._root = url_to_fs(
            self._url, use_listings_cache=False, skip_instance_cache=True, config_kwargs=config
        )
        self._fs.retries = _TRIES
        self._is_conditional = False

    def __str__(self) -> str:
        """Return where it is."""
        return self._url

    def require(self) -> None:
        """Raise `FileNotFoundError` where there is no such bucket."""
        self.entries("")

    def create(self, name: str, content: bytes) -> None:
        """Put an object that is not there."""
        with _as_os_errors():
            self._require_conditional_writes()
            self._fs.pipe_file(self._path(name), content, mode="create")

    def read(self, name: str) -> bytes:
        """Return an object's content."""
        with _as_os_errors():
            content: bytes = self._fs.cat_file(self._path(name))
            return content

    def entries(self, directory: str) -> dict[str, Entry]:
        """Return the objects just below a prefix; raise where there is no such bucket."""
        with _as_os_errors():
            try:
                listed = self._fs.ls(self._path(directory), detail=True)
            except FileNotFoundError as error:
                if error.__cause__ is not None:  # said by the store: it has no such bucket
                    raise
                return {}
        return {
            each["name"].rpartition("/")[2]: Entry(each["size"], each["LastModified"].timestamp())
            for each in listed
            if each["type"] == "file"
        }

    def upload(self, path: Path, name: str) -> None:
        """Put a file's content into an object."""
        with _as_os_errors():
            self._fs.put_file(str(path), self._path(name))

    def download(self, name: str, path: Path) -> None:
        """Write an object's content to a file."""
        with _as_os_errors():
            self._fs.get_file(self._path(name), str(path))

    def remove(self, name: str) -> None:
        """Remove an object."""
        with _as_os_errors():
            self._fs.rm_file(self._path(name))

    def _require_conditional_writes(self) -> None:
        """Write the same object twice, once for each process: the second time must fail."""
        for _ in range(2):
            if self._is_conditional:
                return
            try:
                self._fs.pipe_file(self._path(_PROBE), b"", mode="create")
            except FileExistsError:
                self._is_conditional = True
        if not self._is_conditional:
            raise OSError("it ignores If-None-Match: of two who write at once both would win")

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Let what botocore could not do, or what broke off, be what any disk could not."""
    try:
        yield
    except (BotoCoreError, *S3_RETRYABLE_ERRORS) as error:
        raise OSError(str(error)) from error
