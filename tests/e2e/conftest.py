"""Fixtures of a home with a model."""

from tests.support.service import home

__all__ = ["home"]
