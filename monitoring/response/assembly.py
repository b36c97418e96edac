"""Where the parts of a responder meet, as the environment says."""

import time
from pathlib import Path

from prometheus_client import CollectorRegistry

from models.home_registry import shared_registry, trusted_keys
from models.registry import Registry
from monitoring.drift.journal import Journal
from monitoring.drift.policy import Policy as DriftPolicy
from monitoring.response.alert_desk import AlertDesk
from monitoring.response.burn import BurnSource
from monitoring.response.delivery import Couriers
from monitoring.response.ledger import Ledger
from monitoring.response.metrics import ResponseMetrics
from monitoring.response.policy import Action
from monitoring.response.policy_file import PolicyFile
from monitoring.response.raise_fallback import RaiseFallback
from monitoring.response.responder import Responder
from monitoring.response.retrain import Retrain
from monitoring.response.rollback import RollBack
from monitoring.response.sources import DriftSource, PerformanceSource, StalenessSource
from monitoring.response.state import State


def responder_of(
    home: Path, drift: DriftPolicy, policy: PolicyFile, registry: CollectorRegistry
) -> Responder:
    """Return the responder of a home; raise `InputError` for settings that cannot be used.

    Aliases are moved where `python -m models rollback` moves them.
    """
    own, clock, state = Registry(home, trusted_keys()), time.time, State.read(home)
    metrics, journal = ResponseMetrics(registry), Journal()
    ledger = Ledger(home, metrics, journal, clock)
    models = shared_registry(own) or own
    retrain = Retrain(home, models, state, clock)
    return Responder(
        home,
        policy,
        sources=(
            DriftSource(home, drift.limits, clock),
            PerformanceSource(home, clock),
            StalenessSource(home, clock),
            BurnSource(clock),
        ),
        doings={
            Action.ROLLBACK: RollBack(models, clock),
            Action.RETRAIN: retrain,
            Action.FALLBACK: RaiseFallback(home, clock),
        },
        retrain=retrain,
        state=state,
        ledger=ledger,
        alerts=AlertDesk(state, ledger, Couriers(), metrics, journal, clock),
        metrics=metrics,
        journal=journal,
        clock=clock,
    )
