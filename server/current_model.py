"""The model that serves now, and its replacement while requests go on.

alias changed? ─ load, verify, warm (in a thread) ─ change one reference ─ old one is kept a while
                                                                         └ then it goes, pages, too

A bundle that cannot be loaded changes nothing: the old model serves on. Where there is none,
what is whole of a bundle serves: its popular items, with the reason `model_error`.

A model on trial is loaded beside it. When it comes to serve, or the one before is to serve again,
nothing is loaded: the reference is all that changes.

What items cost and which are in stock is as of the last delivery: where the shelf is another than
a model was loaded with, the same is loaded anew and takes its place.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, nullcontext
from operator import attrgetter
from time import monotonic

from features.errors import FeaturesError, StoreError
from features.identity.forgotten import Forgotten
from features.shelf import Shelf, State, read_shelf, shelf_state
from models.canary import Canary
from models.canary_counts import CanaryCounter
from models.errors import RegistryError
from models.model import Model
from models.pauses import pausing
from models.registry import Registry
from models.rollout import Rollout
from models.rules.declared import Rules
from monitoring.labels import ErrorKind
from monitoring.metrics import Metrics
from server.errors import UnavailableError
from server.heap import give_back
from server.trial import Trial

log = logging.getLogger(__name__)

POLL_S = 1.0
"""How often the production alias is read."""

RETRY_S = 30.0
"""When a bundle that could not be loaded is tried again."""

_version = attrgetter("version")


class CurrentModel:
    """Holds the production model of a registry, and one on trial, and follows their aliases."""

    def __init__(
        self, registry: Registry, metrics: Metrics, rollout: Rollout, rules: Rules | None = None
    ) -> None:
        """Hold no model yet; every one will follow the `rules`."""
        self.trial: Trial | None = None
        """What is on trial here, None where nothing is."""

        self._rollout = rollout
        self._kept: tuple[Model, float] | None = None
        self._held: Model | None = None
        self._refused_canary: tuple[Canary, str, float] | None = None
        self._registry = registry
        self._home = registry.directory.parent
        self._shelf: Shelf | None = None
        self._shelf_state: State | None = None
        self._shelf_trouble = ""
        self._restocked_again = 0.0
        self._metrics = metrics
        self._rules = rules
        self._model: Model | None = None
        self._forgotten: Forgotten | None = None
        self._refused: tuple[str, float, str] | None = None
        self._swapping = asyncio.Lock()
        self._has_swapped = False

    @property
    def model(self) -> Model | None:
        """Return the model that serves, None before the first."""
        return self._model

    def require(self) -> Model:
        """Return the model, or raise `UnavailableError` telling why there is none."""
        if self._model is None:
            raise UnavailableError(f"there is {self.why_none}", 5)
        return self._model

    @property
    def why_none(self) -> str:
        """Return why no model serves: none was made, or what there is was refused, without paths.

        The words are for after "there is".
        """
        if self._refused is None:
            return "no model yet: python -m models train makes one"
        version, _, why = self._refused
        return f"no model that can serve: {version} was refused: {why}"

    def of(self, user_id: str) -> Model:
        """Return the model that this shopper gets; raise as `require`."""
        trial = self.trial
        if trial is not None and trial.has(user_id):
            return trial.model
        return self.require()

    @property
    def kept(self) -> Model | None:
        """Return the model that served before, as long as it is kept to roll back to."""
        return None if self._kept is None else self._kept[0]

    @property
    def has_refused_canary(self) -> bool:
        """Tell whether the last model on trial could not be loaded here."""
        return self._refused_canary is not None

    def refused(self, canary: Canary) -> str | None:
        """Return why a model on trial cannot be loaded here, None where it can or was not tried."""
        told = self._refused_canary
        return told[1] if told is not None and told[0] == canary else None

    def forget(self, forgotten: Forgotten | None) -> None:
        """Use nothing that training knew of those forgotten since, nor will models to come.

        None, as in the beginning, is for everybody.
        """
        self._forgotten = forgotten
        on_trial = None if self.trial is None else self.trial.model
        for model in (self._model, self.kept, on_trial):
            if model is not None:
                model.forget(forgotten)

    @asynccontextmanager
    async def holding(self, version: str) -> AsyncIterator[Model]:
        """Load a model that is about to serve; while it is held it need not be loaded again.

        Raises as `Registry.load`.
        """
        self._held = await asyncio.to_thread(self._load, version)
        try:
            yield self._held
        finally:
            self._held = None

    async def start(self) -> None:
        """Take the production model, else another that can be loaded, if only in part.

        The one before first, then the newest: that may never have served, or have done harm.
        """
        async with self._swapping:
            await self._look_at_shelf()
            versions = await asyncio.to_thread(lambda: list(self._candidates()))
            canary = await self._on_trial()
            await self._take_first(versions)
            await self._follow_canary(canary)

    async def refresh(self) -> None:
        """Swap to the production model if it is another one now, and to what is on trial."""
        async with self._swapping:
            await self._look_at_shelf()
            # Read in this order: a promoted canary serves before it is on trial no more, and in
            # no moment between may its shoppers get the model before.
            canary = await self._on_trial()
            await self._follow_production()
            await self._restock()
            await self._follow_canary(canary)

    def close(self) -> None:
        """End what is on trial here."""
        self._end_trial()

    async def follow(self) -> None:
        """Refresh for ever."""
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self._tidy()
                await self.refresh()
            except Exception:  # the next poll may find it mended
                log.exception("the model registry could not be read")
                self._metrics.error(ErrorKind.BACKGROUND)

    async def _look_at_shelf(self) -> None:
        """Read the shelf if it is another; what cannot be read leaves all as it is.

        That is told once, and tried again all the time: it may be no fault of the file.
        """
        trouble = ""
        try:
            state = await asyncio.to_thread(shelf_state, self._home)
            if state != self._shelf_state:
                self._shelf = await asyncio.to_thread(read_shelf, self._home)
                self._shelf_state = state
        except StoreError as error:
            trouble = str(error)
        if trouble and trouble != self._shelf_trouble:
            self._metrics.error(ErrorKind.BACKGROUND)
            log.error("stock and prices are as they were: %s", trouble)
        self._shelf_trouble = trouble

    async def _restock(self) -> None:
        """Load what serves anew by the shelf, be it what production names or not, whole or not."""
        model = self._model
        if model is None or self._is_stocked(model) or monotonic() < self._restocked_again:
            return
        if model.is_whole and self._is_refused(model.version):
            return
        if not await self._take(model.version, self._load if model.is_whole else self._load_ladder):
            self._restocked_again = monotonic() + RETRY_S

    async def _tidy(self) -> None:
        """Let a model go that was kept for long enough, and give back what the last one left.

        By then nobody ranks with it any more.
        """
        if self._has_swapped:
            self._has_swapped = False
            await asyncio.to_thread(give_back)
        if self._kept is not None and monotonic() >= self._kept[1]:
            self._kept = None
            self._has_swapped = True

    async def _take_first(self, versions: list[str]) -> None:
        for load in (self._load, self._load_ladder):
            for version in versions:
                if await self._take(version, load):
                    return

    async def _follow_production(self) -> None:
        version = await asyncio.to_thread(self._registry.production)
        if version is None or self._is_refused(version) or self._serves(version):
            return
        if (model := self._at_hand(version)) is not None:
            self._serve(model)
        elif not await self._take(version, self._load) and self._model is None:
            await self._take(version, self._load_ladder)

    def _at_hand(self, version: str) -> Model | None:
        """Return a model that need not be loaded: on trial, kept to roll back to, or held."""
        on_trial = None if self.trial is None else self.trial.model
        for model in (on_trial, self.kept, self._held):
            if model is not None and model.version == version and self._is_stocked(model):
                return model
        return None

    async def _on_trial(self) -> Canary | None:
        """Return what is to be tried, None where nothing can be made of its alias."""
        try:
            return await asyncio.to_thread(self._registry.canary)
        except RegistryError as error:
            self._metrics.error(ErrorKind.BUNDLE)
            log.error("no model is on trial: %s", error)  # noqa: TRY400 - told in a line
            return None

    async def _follow_canary(self, canary: Canary | None) -> None:
        """Try what is to be tried, for as many shoppers as it is to be tried for."""
        try:
            if canary is None or self._serves(canary.version):
                self._refused_canary = None
                self._end_trial()
            elif not self._tries(canary) and not self._is_refused_now(canary):
                self._begin_trial(*await asyncio.to_thread(self._prepared, canary))
        except FeaturesError as error:
            self._metrics.error(ErrorKind.BUNDLE)
            log.error("no model is on trial: %s", error)  # noqa: TRY400 - told in a line
            self._end_trial()

    def _prepared(self, canary: Canary) -> tuple[Canary, Model, CanaryCounter]:
        """Return what a trial needs; raise `FeaturesError` where the model cannot be loaded."""
        try:
            model = self._at_hand(canary.version) or self._load(canary.version)
        except FeaturesError as error:
            self._refused_canary = (canary, str(error), monotonic() + RETRY_S)
            raise
        return canary, model, CanaryCounter(self._registry.directory.parent, canary)

    def _tries(self, canary: Canary) -> bool:
        trial = self.trial
        return trial is not None and trial.canary == canary and self._is_stocked(trial.model)

    def _is_refused_now(self, canary: Canary) -> bool:
        told = self._refused_canary
        return told is not None and told[0] == canary and monotonic() < told[2]

    def _begin_trial(self, canary: Canary, model: Model, counter: CanaryCounter) -> None:
        model.forget(self._forgotten)
        self._end_trial()
        self.trial = Trial(canary, model, counter, self._metrics, self._rollout.shadow)
        self._metrics.canary_share(canary.share)
        log.info("model %s on trial, for %.2f %%", canary.version, 100 * canary.share)

    def _end_trial(self) -> None:
        if self.trial is not None:
            self.trial.close()
            self.trial = None
            self._has_swapped = True
            self._metrics.canary_share(0.0)

    def _candidates(self) -> Iterator[str]:
        registry = self._registry
        told = (registry.production(), registry.previous(), *map(_version, registry.manifests()))
        yield from dict.fromkeys(filter(None, told))

    def _serves(self, version: str) -> bool:
        model = self._model
        return model is not None and model.version == version and model.is_whole

    def _is_stocked(self, model: Model) -> bool:
        """Tell whether a model goes by the shelf as it is."""
        shelf = None if self._shelf is None else self._shelf.digest
        return model.shelf == shelf

    def _is_refused(self, version: str) -> bool:
        now = monotonic()
        return self._refused is not None and self._refused[0] == version and now < self._refused[1]

    async def _take(self, version: str, load: Callable[[str], Model]) -> bool:
        try:
            model = await asyncio.to_thread(load, version)
        except FeaturesError as error:
            self._metrics.error(ErrorKind.BUNDLE)
            why = str(error).replace(f"{self._registry.directory}/", "")
            self._refused = (version, monotonic() + RETRY_S, why)
            serving = self._model.version if self._model else "none"
            log.error("model %s refused, serving %s: %s", version, serving, error)  # noqa: TRY400
            return False
        self._serve(model)
        return True

    def _serve(self, model: Model) -> None:
        model.forget(self._forgotten)
        before, self._model = self._model, model
        if before is None or before.version != model.version:
            self._keep(before)
        self._has_swapped = True
        self._metrics.model(model.version)
        if model.is_whole:
            self._refused = None
            log.info("serving model %s", model.version)
        else:
            log.warning("serving only what is popular by model %s", model.version)

    def _keep(self, before: Model | None) -> None:
        """Keep the model that served before for some minutes; it is ready to serve again."""
        keep_s = self._rollout.keep_warm_s
        is_kept = before is not None and before.is_whole and keep_s > 0
        self._kept = (before, monotonic() + keep_s) if before is not None and is_kept else None

    def _load(self, version: str) -> Model:
        with nullcontext() if self._model is None else pausing():
            model = self._following(self._registry.load(version))
            model.warm()
        return model

    def _load_ladder(self, version: str) -> Model:
        return self._following(self._registry.load_ladder(version))

    def _following(self, model: Model) -> Model:
        """Return a model that goes by the shelf and follows the storefront's rules.

        What of these it cannot follow is told.
        """
        if self._shelf is not None:
            model.stock(self._shelf)
        if self._rules is not None:
            for warning in model.follow(self._rules):
                log.warning("rules: %s", warning)
        return model
