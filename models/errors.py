"""What can go wrong in this room. Each message names what, where and why."""

from features.errors import FeaturesError


class ModelsError(FeaturesError):
    """Base of every error this room raises on purpose."""


class BundleError(ModelsError):
    """A bundle that cannot be believed: damaged, incomplete, or of another schema."""


class RegistryError(ModelsError):
    """The registry cannot do what it was asked."""


class ExportError(ModelsError):
    """An exported graph that does not rank as the model it was made from."""
