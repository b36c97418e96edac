"""The type of a command's option that is a number."""

import math
from typing import Any

import click


class NumberRange(click.FloatRange):
    """Numbers in a range. What is no number (`nan`) lies in every one of click's own."""

    def convert(
        self,
        value: Any,  # noqa: ANN401 - as click has it
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Return the number, or fail as click does: with the option, the value and the range."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return number
