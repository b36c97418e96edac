"""Who is let in: a batch of files into the tables, and a version of these online.

judged ─┬─ good: written, and the baseline moves
        └─ not: held back, and said so ─ released or discarded by somebody
"""

from pathlib import Path

from features.errors import InputError
from features.offline import OfflineStore
from features.quality.gate import Judgement, QualityGate
from features.quality.quarantine import Held, Quarantine, QuarantinedError
from features.quality.rules import Gate, Rules
from features.staged import Committed, StagedBatch
from features.tables import SCHEMAS


class Admission:
    """The gates of one home."""

    def __init__(self, home: Path, rules: Rules) -> None:
        """Judge by `rules`."""
        self._gate = QualityGate(home, rules)
        self._quarantine = Quarantine(home)
        self._store = OfflineStore(home)

    def batch(self, batch: StagedBatch, source: str) -> Committed:
        """Write a batch; raise `QuarantinedError` where it is held back instead."""
        judgement = self._gate.judge(Gate.INGEST, source, batch.tables())
        if judgement.report.violations:
            raise QuarantinedError(self._quarantine.hold(judgement.report, judgement.html(), batch))
        committed = batch.commit(self._store)
        self._gate.accept(judgement)
        return committed

    def tables(self, version: str) -> None:
        """Pass a version of the tables, or raise `QuarantinedError`."""
        if self._gate.vouched == version:
            return
        judgement = self.judged_tables(version)
        if judgement.report.violations:
            raise QuarantinedError(self._quarantine.hold(judgement.report, judgement.html()))
        self._gate.accept(judgement)

    def judged_tables(self, version: str | None = None) -> Judgement:
        """Return what the rules say of a version of the tables, or of what there is now."""
        version = version or self._store.version()
        store = self._store.at(version)
        rows = {table: store.scan(table) for table in SCHEMAS if store.count(table)}
        if not rows:
            raise InputError("there are no data: run `ingest` or `simulate` first")
        return self._gate.judge(Gate.MATERIALIZE, version, rows)

    def release(self, held: Held) -> None:
        """Let in what is held back, by somebody's word; later data are compared with it."""
        report = held.report
        if report.gate is Gate.MATERIALIZE:
            self._gate.accept(self.judged_tables(report.source), vouched=True)
        else:
            judgement = self._gate.judge(report.gate, report.source, held.batch.tables())
            held.batch.commit(self._store)
            self._gate.accept(judgement)
        self._quarantine.discard(held)
