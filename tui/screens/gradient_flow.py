"""The vanishing gradient: how much of it reaches each token of a window, seen from the last."""

import asyncio
import math

from textual import work
from textual.content import Content

from engine import messages as p
from engine.errors import UserError
from engine.service.client import EngineEnded
from tui.chart.data import ChartData, Line, XAxis, YAxis
from tui.chart.widget import Chart
from tui.numbers import short
from tui.sanitize import content
from tui.screens.dialog import CurveDialog
from tui.widgets.text import MUTED, Block

_PAUSE = 1.0
"""Seconds between two questions."""


class GradientFlow(CurveDialog[None]):
    """Asks about once a second while the weights change."""

    TITLE = "The gradient on its way back"
    ABOUT = (
        "How strongly the loss of a window's last prediction pulls at each token before it. Where "
        "the curve falls to the left the gradient vanishes on its way back, and what was read that "
        "long ago can teach the model nothing. The forget gates let it through: model.forget_bias."
    )

    def on_mount(self) -> None:
        self._keep_asking()

    @work
    async def _keep_asking(self) -> None:
        asked: int | None = None
        while not self._session.ended:
            step = self._session.status.step
            if step != asked:
                asked = step
                try:
                    flow = await self._session.engine.call(p.GradientFlow())
                except UserError as error:
                    self._say(content(str(error), "$text-warning"))
                except EngineEnded:
                    break
                else:
                    assert isinstance(flow, p.GradientByTime)
                    self._draw(flow)
            await asyncio.sleep(_PAUSE)
        self._say(content("The engine has ended.", "$text-warning"))

    def _draw(self, flow: p.GradientByTime) -> None:
        tokens = len(flow.norms)
        places = range(1, tokens + 1)
        ends = ((1.0, f"{tokens - 1} before the last"), (float(tokens), "the last"))
        self.query_one("#curve", Chart).show(
            ChartData(
                title="gradient norm by token",
                x=XAxis(1, tokens, "token", ticks=ends),
                curves=(Line(places, flow.norms, f"after step {flow.step:,}", "primary"),),
                y=YAxis(log=True),
                empty="No gradient that is a number above zero reaches any token.",
            )
        )
        self._say(_outcome(flow))

    def _say(self, outcome: Content) -> None:
        self.query_one("#outcome", Block).show(outcome)


def _outcome(flow: p.GradientByTime) -> Content:
    if not math.isfinite(flow.ratio):
        return Content.styled("The gradient is zero or not finite: there is no ratio.", MUTED)
    return Content.assemble(
        "first tenth / last tenth  ",
        (short(flow.ratio, 3), "bold $text-primary"),
        (f"\nThe window's first tenth gets {_compared(flow.ratio)} its last tenth.", MUTED),
    )


def _compared(ratio: float) -> str:
    """In the sentence above."""
    if ratio < 1:
        return f"{short(100 * ratio, 2)}% of the gradient of"
    return f"{short(ratio, 2)} times the gradient of"
