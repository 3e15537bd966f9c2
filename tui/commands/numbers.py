"""Numbers on the command line, as people write them (see `engine.numerals`)."""

import math
from typing import Any

import click

from engine.numerals import real_number, whole_number
from engine.visible import quoted

MOST = 10**12
"""The largest of what has no natural end."""


class Whole(click.ParamType):  # type: ignore[type-arg]
    """A whole number."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, or a refusal."""
        number = whole_number(value) if isinstance(value, str) else value
        if number is None:
            self.fail(f"{quoted(value)} is not a valid integer.", param, ctx)
        return int(number)


class Real(click.ParamType):  # type: ignore[type-arg]
    """A finite number."""

    name = "float"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number, or a refusal."""
        number = real_number(value) if isinstance(value, str) else value
        if number is None or not math.isfinite(number):
            self.fail(f"{quoted(value)} is not a valid float.", param, ctx)
        return float(number)


class WholeRange(click.IntRange):
    """A whole number in a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number within the range, or a refusal."""
        return super().convert(Whole().convert(value, param, ctx), param, ctx)


class RealRange(click.FloatRange):
    """A finite number in a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number within the range, or a refusal."""
        return super().convert(Real().convert(value, param, ctx), param, ctx)
