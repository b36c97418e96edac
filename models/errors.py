"""What can go wrong in this room. Each message names what, where and why."""

from typing import TYPE_CHECKING

from features.errors import FeaturesError

if TYPE_CHECKING:
    from models.journal import Record


class ModelsError(FeaturesError):
    """Base of every error this room raises on purpose."""


class BundleError(ModelsError):
    """A bundle that cannot be believed: damaged, incomplete, or of another schema."""


class NewerBundleError(BundleError):
    """A bundle that a newer program wrote; it may well be whole."""

    def __init__(self, told: str) -> None:
        """Tell by what it is known, and what to do."""
        super().__init__(f"{told}: written by a newer program, upgrade this")


class RegistryError(ModelsError):
    """The registry cannot do what it was asked."""


class AwayError(RegistryError):
    """A shared registry that is not reached, or does not take what it is sent."""

    exit_code = 4


class DiskError(RegistryError):
    """The disk does not take what a registry writes: it is full, or may not be written to."""


UNSURE = "python -m models history --shared tells whether it was moved"
"""What to say where nobody knows what a shared registry made of a move."""


class BehindError(RegistryError):
    """A move that was made in a shared registry, and that this home does not follow yet."""

    exit_code = 5


class OverError(RegistryError):
    """A step of a trial that is over, and so is the trial."""

    exit_code = 6


class ConflictError(RegistryError):
    """Somebody else moved an alias meanwhile; what they did stands."""

    def __init__(self, quicker: "Record | None") -> None:
        """Tell of the move that was quicker, where it is known."""
        told = "somebody else was quicker; nothing was changed"
        if quicker is not None:
            told = (
                f"{quicker.who} was quicker ({quicker.action}, {quicker.at[:19]}Z): production is "
                f"{quicker.aliases.production}; nothing was changed"
            )
        super().__init__(told)


class ExportError(ModelsError):
    """An exported graph that does not rank as the model it was made from."""
