"""Fixtures of a whole service, and of commands over a shop's tables."""

from tests.support.service import home, service, start
from tests.support.shop import features, shop

__all__ = ["features", "home", "service", "shop", "start"]
