"""What can go wrong in a response. Each message names what, and why."""

from features.errors import FeaturesError


class ResponseError(FeaturesError):
    """Base of every error that responses raise on purpose."""


class ExchangeError(ResponseError):
    """No answer over HTTP or SMTP that can be used."""


class RefusedError(ExchangeError):
    """An answer that will not be another one when asked again."""


class TrailError(ResponseError):
    """The audit trail cannot be written: nothing is done that cannot be recorded."""
