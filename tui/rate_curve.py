"""What rates were held and where each ended: the loss over rates on a logarithmic scale."""

import math

from engine.service.protocol import RateFound, RateTried
from tui.chart.data import ChartData, Curve, Mark, Points
from tui.numbers import short
from tui.run.history import Series

_OCTAVE = 16
"""Places on the x axis between a rate and its double."""


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
        last = self._place(self.tried[-1].rate) if self.tried else 0
        ended = [(self._place(one.rate), one.loss) for one in self.tried if one.loss is not None]
        return ChartData(
            title=f"loss in the end, by learning rate{self._exploded()}",
            steps=(0, last + _OCTAVE),
            curves=(Curve(self._line(last), "nats per token"),),
            points=Points([place for place, _ in ended], [loss for _, loss in ended], "held"),
            marks=self._mark(),
            x_name="rate",
            x_labels=tuple((self._place(one.rate), short(one.rate, 2)) for one in self.tried),
            empty="The loss that each learning rate ends with, as they are tried.",
        )

    def _place(self, rate: float) -> int:
        return round(_OCTAVE * math.log2(rate / self.tried[0].rate)) + _OCTAVE

    def _line(self, last: int) -> Series:
        """Straight from each rate to the next where both ended with a number."""
        values = [math.nan] * last
        for left, right in zip(self.tried, self.tried[1:], strict=False):
            if left.loss is None or right.loss is None:
                continue
            begin, end = self._place(left.rate), self._place(right.rate)
            for place in range(begin, end + 1):
                share = (place - begin) / max(1, end - begin)
                values[place - 1] = left.loss + share * (right.loss - left.loss)
        series = Series()
        series.extend(values)
        return series

    def _exploded(self) -> str:
        rates = [short(one.rate, 2) for one in self.tried if one.loss is None]
        return f"; {', '.join(rates)} exploded" if rates else ""

    def _mark(self) -> tuple[Mark, ...]:
        rate = self.found.rate if self.found else None
        if rate is None or not self.tried:
            return ()
        return (Mark(self._place(rate), short(rate, 2)),)
