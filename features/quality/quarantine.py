"""Data that broke rules, kept apart until somebody decides: below `CUVEE_HOME/quarantine`.

ID/ ─ report.json, report.html; of a batch of files also its rows, as Parquet
"""

import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from pathlib import Path

from features.errors import InputError
from features.quality.report import Report
from features.quality.rules import Gate
from features.staged import StagedBatch

REPORT, PAGE = "report.json", "report.html"


@dataclass(frozen=True, slots=True)
class Held:
    """What is held back, and why."""

    id: str
    report: Report
    batch: StagedBatch

    @property
    def page(self) -> Path:
        """Return where the report is as HTML."""
        return self.batch.folder / PAGE


class QuarantinedError(InputError):
    """Data that broke rules are held back."""

    def __init__(self, held: Held) -> None:
        """Tell what was broken, and what one can do."""
        violations = held.report.violations
        lines = "\n".join(f"  {each}" for each in violations)
        super().__init__(
            f"held back as {held.id}: {len(violations)} of {len(held.report.findings)} "
            f"expectations are not met\n{lines}\n"
            f"the report: {held.page}\n"
            f"take it all the same, or throw it away: "
            f"python -m features quality release|discard {held.id}"
        )
        self.held = held


class Quarantine:
    """What is held back of one home."""

    def __init__(self, home: Path) -> None:
        """Use what is there; nothing is created before the first violation."""
        self._root = home / "quarantine"

    def hold(self, report: Report, page: str, batch: StagedBatch | None = None) -> Held:
        """Keep a report and its page, and with a batch its rows too: its folder moves here whole.

        The same version of the tables is held once, however often it is judged.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._root, prefix=".") as scratch:
            folder = Path(scratch) if batch is None else batch.folder
            (folder / REPORT).write_text(report.to_json(), encoding="utf-8")
            (folder / PAGE).write_text(page, encoding="utf-8")
            folder.chmod(0o755)  # a temporary one is for nobody else
            name = self._name(report)
            if batch is None:
                shutil.rmtree(self._root / name, ignore_errors=True)
            folder.rename(self._root / name)
        return self.get(name)

    def all(self) -> list[Held]:
        """Return what is held back, in the order of the ids."""
        return [self.get(path.parent.name) for path in sorted(self._root.glob(f"[!.]*/{REPORT}"))]

    def get(self, held_id: str) -> Held:
        """Return what is held back as `held_id`; raise `InputError` where there is none."""
        folder = self._root / held_id
        known = [path.parent.name for path in sorted(self._root.glob(f"[!.]*/{REPORT}"))]
        if held_id not in known:
            told = ", ".join(known) or "nothing"
            raise InputError(f"quarantine: there is no {held_id!r:.80}; held back is: {told}")
        try:
            report = Report.from_json((folder / REPORT).read_bytes())
        except ValueError as error:
            raise InputError(f"quarantine: {folder / REPORT}: {error}") from error
        return Held(held_id, report, StagedBatch(folder))

    def discard(self, held: Held) -> None:
        """Throw away what is held back."""
        shutil.rmtree(held.batch.folder)

    def forget(self, user_id: str) -> None:
        """Drop a shopper's rows from all that is held back."""
        for held in self.all():
            held.batch.forget(user_id)

    def _name(self, report: Report) -> str:
        if report.gate is Gate.MATERIALIZE:
            return f"{report.gate}-{blake2b(report.source.encode(), digest_size=4).hexdigest()}"
        stamp = datetime.fromisoformat(report.created).strftime("%Y%m%dT%H%M%S")
        taken = len(list(self._root.glob(f"{report.gate}-{stamp}*")))
        return f"{report.gate}-{stamp}" + (f"-{taken + 1}" if taken else "")
