"""Data that broke rules, kept apart until somebody decides: below `CUVEE_HOME/quarantine`.

ID/ ─ report.json, report.html; of a batch of files also its rows, as Parquet, and their digest
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from features.errors import InputError, StoreError
from features.home import command_in
from features.identity.forgotten import ForgottenList
from features.lock import locked
from features.offline.staged import StagedBatch
from features.quality.gates import Gate
from features.quality.held_names import REPORT, held_names
from features.quality.page import as_html
from features.quality.report import Finding, Report
from features.scratch import scratch_folder, sweep
from features.whole_file import write_file

PAGE, DIGEST = "report.html", "digest"
UNFINISHED = ".unfinished-"
"""How the names of folders begin of what is not held back yet, or no more."""

TABLES = str(Gate.MATERIALIZE)
"""The id of what is held back of the tables: there is one such version at most."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is held back, and why."""

    id: str
    report: Report
    batch: StagedBatch

    @property
    def home(self) -> Path:
        """Return the home that it was for."""
        return self.batch.folder.parents[1]

    @property
    def page(self) -> Path:
        """Return where the report is as HTML."""
        return self.batch.folder / PAGE

    @property
    def digest(self) -> str:
        """Return that of the rows as they came."""
        return (self.batch.folder / DIGEST).read_text(encoding="utf-8")


class QuarantinedError(InputError):
    """Data that broke rules are held back."""

    exit_code = 3

    def __init__(self, held: Held) -> None:
        """Tell what was broken, and what one can do."""
        super().__init__(
            f"held back as {held.id}: {_told(held.report.violations)}\n"
            f"the report: {held.page}\n"
            f"take it all the same (--dry-run: what would that do?), or throw it away: "
            + command_in(held.home, f"python -m features quality release|discard {held.id}")
        )
        self.held = held


class Quarantine:
    """What is held back of one home. One process at a time changes it."""

    def __init__(self, home: Path) -> None:
        """Use what is there; nothing is created before the first violation."""
        self._home, self._root = home, home / "quarantine"
        self._forgotten = ForgottenList(home)

    def hold(
        self,
        report: Report,
        batch: StagedBatch | None = None,
        digest: str = "",
    ) -> Held:
        """Keep a report and its page, and with a batch its rows too: its folder moves here whole.

        A batch that is held back already, and tables, are held once. Raises `InputError`, which
        tells what was broken all the same, where nothing can be kept. Rows of shoppers who were
        forgotten since are not kept.
        """
        try:
            with locked(self._root):
                if digest and (known := self._with(digest)):
                    return known
                return self._kept(report, batch, digest)
        except OSError as error:
            told = _told(report.violations)
            reason = f"{error.filename or self._root}: {error.strerror or error}"
            raise InputError(f"{told}\nnothing was written; not held back: {reason}") from error

    def _kept(self, report: Report, batch: StagedBatch | None, digest: str) -> Held:
        if batch is not None:  # whoever is forgotten from now on is forgotten here, too
            batch.spare(self._forgotten.read())
        with scratch_folder(self._root, UNFINISHED) as scratch:
            folder = scratch if batch is None else batch.folder
            write_file(folder / DIGEST, digest)
            write_file(folder / REPORT, report.to_json())
            write_file(folder / PAGE, as_html(report))
            name = self._free_name(report)
            if (self._root / name).exists():
                self._remove(self._root / name)
            folder.rename(self._root / name)
        return self.get(name)

    def all(self) -> list[Held]:
        """Return what is held back, in the order of the ids."""
        return [self._read(name) for name in held_names(self._home)]

    def get(self, held_id: str) -> Held:
        """Return what is held back as `held_id`; raise `InputError` where there is none."""
        known = held_names(self._home)
        if held_id not in known:
            told = ", ".join(known) or "nothing"
            raise InputError(f"quarantine: there is no {held_id!r:.80}; held back is: {told}")
        return self._read(held_id)

    @contextmanager
    def taken(self, held_id: str) -> Iterator[Held]:
        """Give what is held back to whoever decides on it; once that is done it is gone."""
        self.get(held_id)
        with locked(self._root):
            held = self.get(held_id)
            yield held
            self._remove(held.batch.folder)

    def drop_tables(self) -> None:
        """Hold no version of the tables back any more: a later one is good."""
        if not (self._root / TABLES).exists():
            return
        with locked(self._root):
            if (self._root / TABLES).exists():  # nobody decided on it meanwhile
                self._remove(self._root / TABLES)

    def forget(self, user_ids: Collection[str]) -> None:
        """Drop shoppers' rows from all that is held back; what was being thrown away goes.

        Raises `StoreError` where that cannot be done now.
        """
        if not self._root.exists():
            return
        try:
            with locked(self._root):
                sweep(self._root, UNFINISHED)
                for folder in self._root.glob("[!.]*"):
                    if folder.is_dir():
                        StagedBatch(folder).forget(user_ids)
        except OSError as error:
            raise StoreError(f"quarantine: {error}") from error

    def _read(self, held_id: str) -> Held:
        path = self._root / held_id / REPORT
        try:
            return Held(held_id, Report.from_json(path.read_bytes()), StagedBatch(path.parent))
        except (OSError, ValueError) as error:
            raise InputError(f"quarantine: {path}: {error}") from error

    def _with(self, digest: str) -> Held | None:
        for name in held_names(self._home):
            path = self._root / name / DIGEST
            if path.exists() and path.read_text(encoding="utf-8") == digest:
                return self._read(name)
        return None

    def _free_name(self, report: Report) -> str:
        if report.gate is Gate.MATERIALIZE:
            return TABLES
        stamp = datetime.fromisoformat(report.created).strftime("%Y%m%dT%H%M%S")
        names = (f"{report.gate}-{stamp}" + (f"-{n}" if n > 1 else "") for n in count(1))
        return next(name for name in names if not (self._root / name).exists())

    def _remove(self, folder: Path) -> None:
        """Throw a folder away; if that is interrupted it is held back no more."""
        with scratch_folder(self._root, UNFINISHED) as going:
            folder.rename(going / folder.name)


def _told(violations: list[Finding]) -> str:
    lines = "".join(f"\n  {each}" for each in violations)
    one = len(violations) == 1
    return f"{len(violations)} {'expectation is' if one else 'expectations are'} not met{lines}"
