"""`lstm-tui lr-find`."""

import sys
import tempfile
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.errors import UserError
from tui.commands.new_run import configure, new_run
from tui.commands.shared import answers, echo, json_option, print_json, settings_options, wait_for

if TYPE_CHECKING:
    from tui.rate_curve import RateCurve

_PLOT_SIZE = (78, 18)
"""Columns and rows of the chart."""


@click.command("lr-find")
@click.argument("corpus")
@settings_options
@json_option
def find_rate(
    corpus: str,
    preset: str | None,
    config_file: str | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Find a learning rate to begin with.

    A fresh model is trained on CORPUS (as for train) for 200 steps at each of a few rates, always
    from the same start, and the losses it ends with are compared. Nothing is kept of it.
    """
    config = configure(corpus, preset, config_file, settings, {})
    with tempfile.TemporaryDirectory(prefix="lstm-tui-") as temporary:
        curve = wait_for(_find_rate(new_run(Path(temporary), corpus, "lr-find", config)))
    found = curve.found
    assert found is not None
    if as_json:
        tried = [{"rate": tried.rate, "loss": tried.loss} for tried in curve.tried]
        answer = {"corpus": corpus, "tried": tried, "rate": found.rate, "reason": found.reason}
        print_json(answer)
        return
    from tui.chart.plot import draw

    for line in str(draw(curve.chart(), *_PLOT_SIZE)).split("\n"):
        echo(line)
    echo(found.reason)
    if found.rate is not None:
        echo(f"{found.rate:g} is a rate to begin with:")
        echo(f"    --set optimiser.learning_rate={found.rate:g}")


async def _find_rate(folder: Path) -> "RateCurve":
    from engine import messages as p
    from engine.service.client import launch
    from tui.progress_line import Waiting
    from tui.rate_curve import RateCurve

    curve, waiting = RateCurve(), Waiting(sys.stderr)
    async with aclosing(answers(folder, p.FindRate(), waiting, launch)) as found:
        async for answer in found:
            if isinstance(answer, p.RateTried):
                curve.add(answer)
            elif isinstance(answer, p.RateFound):
                curve.found = answer
                return curve
    raise UserError("The engine ended the test without a rate.")
