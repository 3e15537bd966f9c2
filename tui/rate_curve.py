"""The curve of a learning-rate range test: the loss over rates that rise by equal ratios."""

import math

from engine.service.protocol import RateFound, RateTried
from tui.chart_data import ChartData, Curve, Mark
from tui.history import Series
from tui.numbers import short

_TOP = 1.2
"""Times the first loss, above which the curve leaves the chart: what explodes has no top."""


class RateCurve:
    """What was tried so far, as a chart whose x axis is the rate on a logarithmic scale."""

    def __init__(self) -> None:
        self.tried: list[RateTried] = []
        self.found: RateFound | None = None
        self._losses = Series()

    def add(self, tried: RateTried) -> None:
        """A rate more."""
        self.tried.append(tried)
        first = self.tried[0].loss
        loss = math.nan if tried.loss is None or first is None else tried.loss
        self._losses.extend([loss if first is not None and loss <= _TOP * first else math.nan])

    @property
    def share(self) -> float:
        """How much of the range is tried, 0 to 1."""
        return self.tried[-1].share if self.tried else 0.0

    def chart(self) -> ChartData:
        """The curve as it stands, and the rate found; at the end without what was left out."""
        last = self._last()
        return ChartData(
            title="smoothed loss by learning rate",
            steps=(0, last),
            curves=(Curve(self._losses, "nats per token"),),
            marks=self._mark(),
            x_name="rate",
            x_labels=self._decades(last),
            empty="The loss over the learning rate, as the rates are tried.",
        )

    def _last(self) -> int:
        """Steps of the whole test, or of what became of it."""
        if self.found is not None or not self.share:
            return max(len(self.tried), 2)
        return round((len(self.tried) - 1) / self.share) + 1

    def _decades(self, last: int) -> tuple[tuple[int, str], ...]:
        if len(self.tried) < 2:
            return ()
        first, second = (math.log10(tried.rate) for tried in self.tried[:2])
        highest = first + (last - 1) * (second - first)
        return tuple(
            (round((decade - first) / (second - first)) + 1, short(10.0**decade))
            for decade in range(math.ceil(first - 1e-6), math.floor(highest + 1e-6) + 1)
        )

    def _mark(self) -> tuple[Mark, ...]:
        rate = self.found.rate if self.found else None
        if rate is None:
            return ()
        nearest = min(
            range(len(self.tried)), key=lambda step: abs(math.log(self.tried[step].rate / rate))
        )
        return (Mark(nearest + 1, short(rate)),)
