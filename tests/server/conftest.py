"""Fixtures of a whole service."""

from tests.support.service import home, service, start

__all__ = ["home", "service", "start"]
