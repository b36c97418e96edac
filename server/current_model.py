"""The model that serves now, and its replacement while requests go on.

alias changed? ─ load, verify, warm (in a thread) ─ change one reference ─ old one goes by itself
                                                                         └ next poll: its pages, too

A bundle that cannot be loaded changes nothing: the old model serves on. Where there is none,
what is whole of a bundle serves: its popular items, with the reason `model_error`.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from time import monotonic

from features.errors import FeaturesError
from features.forgotten import Forgotten
from models.model import Model
from models.registry import Registry
from models.rules.declared import Rules
from monitoring.labels import ErrorKind
from monitoring.metrics import Metrics
from server.errors import UnavailableError
from server.heap import give_back

log = logging.getLogger(__name__)

POLL_S = 1.0
"""How often the production alias is read."""

RETRY_S = 30.0
"""When a bundle that could not be loaded is tried again."""


class CurrentModel:
    """Holds the production model of a registry and follows its alias."""

    def __init__(self, registry: Registry, metrics: Metrics, rules: Rules | None = None) -> None:
        """Hold no model yet; every one will follow the `rules`."""
        self._registry = registry
        self._metrics = metrics
        self._rules = rules
        self._model: Model | None = None
        self._forgotten: Forgotten | None = None
        self._refused: tuple[str, float] | None = None
        self._swapping = asyncio.Lock()
        self._has_swapped = False

    @property
    def model(self) -> Model | None:
        """Return the model that serves, None before the first."""
        return self._model

    def require(self) -> Model:
        """Return the model, or raise `UnavailableError` telling how to make one."""
        if self._model is None:
            raise UnavailableError("there is no model yet: python -m models train makes one", 5)
        return self._model

    def forget(self, forgotten: Forgotten | None) -> None:
        """Use nothing that training knew of those forgotten since, nor will models to come.

        None, as in the beginning, is for everybody.
        """
        self._forgotten = forgotten
        if self._model is not None:
            self._model.forget(forgotten)

    async def start(self) -> None:
        """Take the production model, else the newest other that can be loaded, if only in part."""
        async with self._swapping:
            versions = await asyncio.to_thread(lambda: list(self._candidates()))
            for load in (self._load, self._load_ladder):
                for version in versions:
                    if await self._take(version, load):
                        return

    async def refresh(self) -> None:
        """Swap to the production model if it is another one now."""
        async with self._swapping:
            version = await asyncio.to_thread(self._registry.production)
            if version is None or self._is_refused(version) or self._serves(version):
                return
            if not await self._take(version, self._load) and self._model is None:
                await self._take(version, self._load_ladder)

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

    async def _tidy(self) -> None:
        """Give back what the last swap left; by now nobody ranks with the old model any more."""
        if self._has_swapped:
            self._has_swapped = False
            await asyncio.to_thread(give_back)

    def _candidates(self) -> Iterator[str]:
        production = self._registry.production()
        if production is not None:
            yield production
        yield from (
            each.version for each in self._registry.manifests() if each.version != production
        )

    def _serves(self, version: str) -> bool:
        model = self._model
        return model is not None and model.version == version and model.is_whole

    def _is_refused(self, version: str) -> bool:
        now = monotonic()
        return self._refused is not None and self._refused[0] == version and now < self._refused[1]

    async def _take(self, version: str, load: Callable[[str], Model]) -> bool:
        try:
            model = await asyncio.to_thread(load, version)
        except FeaturesError as error:
            self._metrics.error(ErrorKind.BUNDLE)
            self._refused = (version, monotonic() + RETRY_S)
            serving = self._model.version if self._model else "none"
            log.error("model %s refused, serving %s: %s", version, serving, error)  # noqa: TRY400
            return False
        model.forget(self._forgotten)
        self._model = model
        self._has_swapped = True
        self._metrics.model(version)
        if model.is_whole:
            self._refused = None
            log.info("serving model %s", version)
        else:
            log.warning("serving only what is popular by model %s", version)
        return True

    def _load(self, version: str) -> Model:
        model = self._following(self._registry.load(version))
        model.warm()
        return model

    def _load_ladder(self, version: str) -> Model:
        return self._following(self._registry.load_ladder(version))

    def _following(self, model: Model) -> Model:
        """Return a model that follows the storefront's rules, and tell what of them it cannot."""
        if self._rules is not None:
            for warning in model.follow(self._rules):
                log.warning("rules: %s", warning)
        return model
