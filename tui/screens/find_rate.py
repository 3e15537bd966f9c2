"""Learning rates held side by side: their losses as they come, and the rate found, to be taken."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import ClassVar, cast

from textual import work
from textual.binding import Binding, BindingType
from textual.content import Content

from engine import messages as p
from engine.errors import UserError
from engine.events import Progress
from engine.service.client import EngineEnded
from tui.chart.widget import Chart
from tui.numbers import short
from tui.rate_curve import RateCurve
from tui.run.session import Session
from tui.sanitize import content
from tui.screens.dialog import CurveDialog
from tui.widgets.text import MUTED, Block

_DRAWS_A_SECOND = 4


class FindRate(CurveDialog[float | None]):
    """Dismissed with the rate to take, or None. Closing it ends the test."""

    TITLE = "Find a learning rate"
    ABOUT = (
        "Copies of the model are trained for a while, each at a rate of its own and all from the "
        "same start. The lower a loss in the end, the better the rate. The run itself stays as it "
        "is."
    )
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "take", "Take the rate")]

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._curve = RateCurve()
        self._stale = True
        self._under_way: Progress | None = None

    def on_mount(self) -> None:
        """Let the engine try rates."""
        self.set_interval(1 / _DRAWS_A_SECOND, self._draw)
        self._draw()
        self._test()

    @work
    async def _test(self) -> None:
        stream = self._session.engine.stream(p.FindRate())
        try:
            # It is a generator: closing it early tells the engine to stop.
            async with aclosing(cast("AsyncGenerator[p.AnyAnswer]", stream)) as answers:
                async for answer in answers:
                    if isinstance(answer, p.RateTried):
                        self._curve.add(answer)
                    elif isinstance(answer, Progress):
                        self._under_way = answer
                    elif isinstance(answer, p.RateFound):
                        self._curve.found = answer
                    self._stale = True
        except UserError as error:
            self._end(str(error))
        except EngineEnded:
            self._end("The engine has ended.")
        else:
            self._draw()

    def _end(self, reason: str) -> None:
        """The test can't be made, or not to its end."""
        self._curve.found = p.RateFound(rate=None, reason=reason)
        self._stale = True
        self._draw()

    def _draw(self) -> None:
        if not self._stale:
            return
        self._stale = False
        found = self._curve.found
        self.query_one("#curve", Chart).show(self._curve.chart())
        if found is not None and found.rate is not None:
            self.query_one("#box").border_subtitle = f"enter takes {short(found.rate)} · esc closes"
        self.query_one("#outcome", Block).show(self._outcome())

    def _outcome(self) -> Content:
        found, tried = self._curve.found, self._curve.tried
        now = f"The run's rate is {short(self._session.knob('learning_rate'))}."
        if found is None:
            task = self._under_way
            told = f"{task.task}… {task.done / task.total:.0%}" if task else "beginning…"
            return Content.assemble(content(told), f"  {len(tried)} rates done\n", (now, MUTED))
        if found.rate is None:
            return content(found.reason, "$text-warning")
        return Content.assemble(
            (f"{short(found.rate)}  ", "bold $text-success"),
            content(found.reason),
            "\n",
            (now, MUTED),
        )

    def action_take(self) -> None:
        """Close it with the rate found, if there is one by now."""
        found = self._curve.found
        if found is not None and found.rate is not None:
            self.dismiss(found.rate)
