"""The vanishing gradient: how much of it reaches each token of a window, seen from the last."""

import asyncio
import math
from collections.abc import Sequence

from rich.cells import cell_len
from textual import work
from textual.content import Content

from engine import messages as p
from engine.errors import UserError
from engine.service.client import EngineEnded
from tui.chart.data import ChartData, Line, XAxis, YAxis
from tui.chart.widget import Chart
from tui.numbers import short
from tui.sanitize import content, token
from tui.screens.dialog import CurveDialog
from tui.widgets.text import MUTED, Block, fit

_PAUSE = 1.0
"""Seconds between two questions."""
_TENTHS = 10
"""Tokens of a window from which on it has tenths."""
_LONGEST = 14
"""Columns of a token, at most."""
_BARS = "▁▂▃▄▅▆▇█"


class GradientFlow(CurveDialog[None]):
    """Asks about once a second while the weights change."""

    TITLE = "The gradient on its way back"
    ABOUT = (
        "How strongly the loss of a window's last prediction pulls at each token before it. Where "
        "the curve falls to the left the gradient vanishes on its way back, and what was read that "
        "long ago can teach the model nothing. The forget gates let it through: model.forget_bias."
    )

    _flow: p.GradientByTime | None = None
    """What is drawn."""

    def on_mount(self) -> None:
        """Ask at once."""
        self._keep_asking()

    def on_resize(self) -> None:
        """Draw what fits into the new size."""
        self.call_after_refresh(self._draw_again)

    def _draw_again(self) -> None:
        if self._flow is not None:
            self._draw(self._flow)

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
                    self._flow = flow
                    self._draw(flow)
            await asyncio.sleep(_PAUSE)
        self._say(content("The engine has ended.", "$text-warning"))

    def _draw(self, flow: p.GradientByTime) -> None:
        tokens = len(flow.norms)
        places = range(1, tokens + 1)
        ends = ((1.0, f"{tokens - 1} before the last"), (float(tokens), "the last"))
        curves = [Line(places, flow.norms, f"after step {flow.step:,}", "primary")]
        if flow.untrained and flow.step:
            curves.append(Line(places, flow.untrained, "untrained", "secondary", "stippled"))
        chart = self.query_one("#curve", Chart)
        chart.show(
            ChartData(
                title="gradient norm by token",
                x=XAxis(1, tokens, "token", ticks=ends),
                curves=tuple(curves),
                y=YAxis(log=True),
                empty="No gradient that is a number above zero reaches any token.",
            )
        )
        gap = "" if self._session.status.config.corpus.tokenizer == "character" else " "
        bars = token_bars(flow, chart.size.width, gap)
        self._say(Content("\n").join([*bars, _outcome(flow)]))

    def _say(self, outcome: Content) -> None:
        self.query_one("#outcome", Block).show(outcome)


def token_bars(flow: p.GradientByTime, width: int, gap: str) -> list[Content]:
    """The last tokens of a text that there is room for, below a bar each: the gradient that reaches
    it, by powers of ten. How many stand before them is said. Nothing where there are no numbers."""
    if not any(map(_positive, flow.token_norms)):
        return []
    names = [fit(token(text), min(_LONGEST, cell_len(token(text)))) for text in flow.tokens]
    left_out = _left_out(names, width, gap)
    while left_out < _left_out(names, width - len(_before(left_out)) * bool(left_out), gap):
        left_out += 1  # the more are left out, the longer it takes to say how many
    before = _before(left_out) if left_out else ""
    heights = _heights(flow.token_norms)
    bars = gap.join(
        bar * cell_len(name) for bar, name in list(zip(heights, names, strict=True))[left_out:]
    )
    return [
        Content.styled(" " * len(before) + bars, "$text-primary"),
        Content.assemble((before, MUTED), gap.join(names[left_out:])),
    ]


def _before(count: int) -> str:
    return f"… {count:,} more "


def _left_out(names: list[str], width: int, gap: str) -> int:
    """How many of the first names there is no room for."""
    room = width + len(gap)
    for count, name in enumerate(reversed(names)):
        room -= cell_len(name) + len(gap)
        if room < 0:
            return len(names) - count
    return 0


def _heights(norms: Sequence[float]) -> list[str]:
    """A bar for each, on a logarithmic scale from the least to the greatest; a blank for none."""
    logs = [math.log10(norm) for norm in norms if _positive(norm)]
    low, span = min(logs), (max(logs) - min(logs)) or 1.0
    return [
        _BARS[round((math.log10(norm) - low) / span * (len(_BARS) - 1))] if _positive(norm) else " "
        for norm in norms
    ]


def _positive(norm: float) -> bool:
    return math.isfinite(norm) and norm > 0


def _outcome(flow: p.GradientByTime) -> Content:
    if not math.isfinite(flow.ratio):
        return Content.styled("The gradient is zero or not finite: there is no ratio.", MUTED)
    part = "tenth" if len(flow.norms) >= _TENTHS else "token"
    untrained = ""
    if math.isfinite(flow.untrained_ratio) and flow.step:
        untrained = f"  untrained {short(flow.untrained_ratio, 3)}"
    return Content.assemble(
        f"first {part} / last {part}  ",
        (short(flow.ratio, 3), "bold $text-primary"),
        (untrained, "$text-warning"),
        (f"\nThe window's first {part} gets {_compared(flow.ratio)} its last {part}.", MUTED),
    )


def _compared(ratio: float) -> str:
    """In the sentence above."""
    if ratio < 1:
        return f"{short(100 * ratio, 2)}% of the gradient of"
    return f"{short(ratio, 2)} times the gradient of"
