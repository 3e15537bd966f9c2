"""What rates were held and where each ended: the loss over rates on a logarithmic scale."""

import math

from engine.messages import RateFound, RateTried
from tui.chart.data import ChartData, Line, Mark, Points, XAxis
from tui.numbers import short


class RateCurve:
    """What was tried so far, as a chart whose x axis is the rate."""

    def __init__(self) -> None:
        self.tried: list[RateTried] = []
        """The lowest rate first."""
        self.found: RateFound | None = None

    def add(self, tried: RateTried) -> None:
        """A rate more."""
        self.tried = sorted([*self.tried, tried], key=lambda one: one.rate)

    def chart(self) -> ChartData:
        """The losses as they stand, joined by a line, and the rate found. What exploded leaves a
        gap."""
        rates = [one.rate for one in self.tried]
        ended = [(one.rate, one.loss) for one in self.tried if one.loss is not None]
        losses = [math.nan if one.loss is None else one.loss for one in self.tried]
        low, high = (rates[0] / 2, rates[-1] * 2) if rates else (1.0, 2.0)
        return ChartData(
            title=f"loss in the end, by learning rate{self._exploded()}",
            x=XAxis(low, high, "rate", log=True, ticks=tuple((r, short(r, 2)) for r in rates)),
            curves=(Line(rates, losses, "nats per token", "primary"),),
            points=(Points([rate for rate, _ in ended], [loss for _, loss in ended], "held"),),
            marks=self._mark(),
            empty="The loss that each learning rate ends with, as they are tried.",
        )

    def _exploded(self) -> str:
        rates = [short(one.rate, 2) for one in self.tried if one.loss is None]
        return f"; {', '.join(rates)} exploded" if rates else ""

    def _mark(self) -> tuple[Mark, ...]:
        rate = self.found.rate if self.found else None
        if rate is None or not self.tried:
            return ()
        return (Mark(rate, short(rate, 2)),)
