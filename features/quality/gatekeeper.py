"""Who is let in: a batch of files into the tables, and a version of these online.

    judged ─┬─ good: written, and the baseline moves
            └─ not: held back, and said so ─ released or discarded by somebody

Rules and the baseline judge, a person decides.
"""

from pathlib import Path

from features.offline.staged import Committed, Effect, StagedBatch
from features.offline.store import OfflineStore
from features.offline.tables import SCHEMAS
from features.quality.baselines import Baselines
from features.quality.gate import Judgement, QualityGate
from features.quality.gates import Gate
from features.quality.quarantine import Quarantine, QuarantinedError
from features.quality.refusals import Refusal
from features.quality.rules import Rules


class Gatekeeper:
    """The gates of one home."""

    def __init__(self, home: Path, rules: Rules) -> None:
        """Judge by `rules`."""
        self._gate = QualityGate(home, rules)
        self._baselines = Baselines(home)
        self._quarantine = Quarantine(home)
        self._store = OfflineStore(home)

    def batch(
        self, batch: StagedBatch, source: str, refused: tuple[Refusal, ...] = ()
    ) -> Committed:
        """Write a batch; raise `QuarantinedError` where it is held back instead.

        One that was released is let in again. `refused` are rows of `source` that are not in it.
        """
        digest = batch.digest()
        if self._baselines.was_released(digest):
            return batch.commit(self._store)
        judgement = self._gate.judge(Gate.INGEST, source, batch.tables(), refused)
        if judgement.report.violations:
            held = self._quarantine.hold(judgement.report, batch, digest)
            raise QuarantinedError(held)
        committed = batch.commit(self._store)
        self._gate.accept(judgement)
        return committed

    def tables(self, version: str) -> None:
        """Pass a version of the tables, or raise `QuarantinedError`."""
        judgement = self.judged_tables(version)
        if judgement.report.violations:
            raise QuarantinedError(self._quarantine.hold(judgement.report))
        self._gate.accept(judgement)
        self._quarantine.drop_tables()

    def judged_tables(self, version: str | None = None) -> Judgement:
        """Return what the rules say of a version of the tables, or of what there is now.

        Raises `InputError` where they hold nothing at all.
        """
        version = version or self._store.version()
        store = self._store.at(version)
        tables = [name for name, _, _ in store.files() if name in SCHEMAS]
        store.require_rows()
        rows = {table: store.scan(table) for table in tables}
        return self._gate.judge(Gate.MATERIALIZE, version, rows)

    def effects(self, held_id: str) -> dict[str, Effect]:
        """Return what releasing does to the tables: nothing, where they are held back themselves.

        Raises `InputError` where there is no such thing, or it cannot be read.
        """
        return self._quarantine.get(held_id).batch.effects(self._store)

    def release(self, held_id: str) -> dict[str, Effect]:
        """Let in what is held back, by somebody's word; later data are compared with it.

        Tables may be as they are until they get worse, a batch may come again. Returns what that
        did to the tables.
        """
        with self._quarantine.taken(held_id) as held:
            report, effects = held.report, held.batch.effects(self._store)
            if report.gate is Gate.MATERIALIZE:
                is_there = self._store.is_unchanged_since(report.source)  # its files may be merged
                judgement = self.judged_tables(None if is_there else report.source)
                self._gate.accept(judgement)
                self._gate.vouch(judgement)
                return effects
            judgement = self._gate.judge(report.gate, report.source, held.batch.tables())
            held.batch.commit(self._store)
            self._gate.accept(judgement)
            self._baselines.release(held.digest)
            return effects
