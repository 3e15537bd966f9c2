"""What a redraw of a 120x30 chart costs, for runs of ten to ten million steps.

    python -m tests.benchmarks.chart

Each redraw follows a few new steps. Beside it, in the same app, a Static of the same size is
given a new text; both are timed up to the strips that Textual then sends to the terminal.
"""

import asyncio
import statistics
import time
from collections.abc import Callable

import numpy as np
from textual.app import App, ComposeResult
from textual.content import Content
from textual.geometry import Region
from textual.widgets import Static

from tui.chart.data import ChartData, Curve, Mark, Points, Rule, XAxis, YAxis
from tui.chart.widget import Chart
from tui.run.series import Series

WIDTH, HEIGHT = 120, 30
LENGTHS = (10, 10_000, 1_000_000, 10_000_000)
REPEATS = 40
NEW_STEPS = 5


class Bench(App[None]):
    """One chart and one static text, each as large as is measured."""

    CSS = f"Chart, Static {{ width: {WIDTH}; height: {HEIGHT}; }}"

    def compose(self) -> ComposeResult:
        yield Chart()
        yield Static(markup=False)


def chart_data(before: Series, after: Series) -> ChartData:
    """A gradient norm chart with everything on it."""
    steps = len(before)
    return ChartData(
        title="gradient norm",
        x=XAxis(0, 1 << steps.bit_length()),  # seldom moves, as in the training pane
        curves=(Curve(before, "before"), Curve(after, "after", "secondary", "stippled")),
        points=(Points([steps // 3, steps // 2], [0.5, 0.7], "validation"),),
        marks=(Mark(steps // 4, "lr 10"), Mark(steps // 2, "clip 0.5")),
        rule=Rule(0.25, "threshold"),
        y=YAxis(log=True),
    )


def milliseconds(redraw: Callable[[], None]) -> float:
    """The median time of a redraw."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        redraw()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


async def main() -> None:
    random = np.random.default_rng(1)
    app = Bench()
    async with app.run_test(size=(WIDTH, 2 * HEIGHT)):
        chart, static = app.query_one(Chart), app.query_one(Static)
        crop = Region(0, 0, WIDTH, HEIGHT)
        letters = np.array(list("abcdefghijklmnopqrstuvwxyz "))
        texts = iter(
            [
                "\n".join(map("".join, random.choice(letters, (HEIGHT, WIDTH)).tolist()))
                for _ in range(REPEATS)
            ]
        )

        def redraw_static() -> None:
            static.update(Content(next(texts)), layout=False)
            static.render_lines(crop)

        yardstick = milliseconds(redraw_static)
        print(f"static text      {yardstick:6.2f} ms")
        for length in LENGTHS:
            norms = np.exp(random.normal(-1, 0.7, length))
            before, after = Series(norms), Series(np.minimum(norms, 0.25))

            def redraw_chart(before: Series = before, after: Series = after) -> None:
                new = np.exp(random.normal(-1, 0.7, NEW_STEPS))
                before.extend(new)
                after.extend(np.minimum(new, 0.25))
                chart.show(chart_data(before, after))
                chart.render_lines(crop)

            for _ in range(5):
                redraw_chart()
            cost = milliseconds(redraw_chart)
            print(f"{length:>10,} steps {cost:6.2f} ms, {cost / yardstick:.2f} x the static text")


if __name__ == "__main__":
    asyncio.run(main())
