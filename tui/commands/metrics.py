"""`lstm-tui metrics`: the steps that a run has recorded."""

import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tui.commands.shared import echo, find, models_dir_option, print_table, write_lines
from tui.numbers import counted

if TYPE_CHECKING:
    from engine.events import Stepped

_LATEST = 10
"""Steps in the table."""


@click.command()
@click.argument("run")
@click.option("--csv", "as_csv", is_flag=True, help="Print every recorded step as CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print every recorded step as a JSON line.")
@models_dir_option
def metrics(run: str, as_csv: bool, as_json: bool) -> None:
    """Print what a run has recorded of its steps.

    RUN is its name, or a path to its folder. Of a long run the older steps are thinned: a row
    stands for as many as its column `steps` says, and has the mean of their losses and norms, and
    the least and the greatest as `loss_min`, `loss_max` and so on. A loss that is `sampled`
    compares its targets with some words instead of the whole vocabulary, and comes out a little
    low.
    """
    folder = find(run)
    if as_csv:
        write_lines(_csv_lines(folder))
    elif as_json:
        write_lines(
            json.dumps(dict(zip(columns, row, strict=True)))
            for columns, rows in _tables(folder)
            for row in rows
        )
    else:
        _print_summary(folder)


def _csv_lines(folder: Path) -> Iterator[str]:
    """The header and the rows. A cell needs no quoting but where a group's name does."""
    told = False
    for columns, rows in _tables(folder):
        if not told:
            yield ",".join(_quoted(name) for name in columns)
            told = True
        for row in rows:
            yield ",".join("" if value is None else str(value) for value in row)


def _quoted(name: str) -> str:
    return f'"{name.replace(chr(34), chr(34) * 2)}"' if any(c in name for c in '",') else name


def _tables(folder: Path) -> Iterator[tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]]:
    """The columns and the rows of one span of the record after the other; None for NaN."""
    from engine.runs import open_past
    from engine.runs.table import table

    for span in open_past(folder).spans():
        made = table(span)
        columns = made.dtype.names or ()
        yield columns, zip(*(_numbers(made[name]) for name in columns), strict=True)


def _numbers(column: Any) -> list[Any]:
    """A column as Python has it: a float32 as the shortest number that stands for it."""
    if column.dtype == "<f4":
        return [None if text == "nan" else float(text) for text in column.astype("U16").tolist()]
    if column.dtype.kind == "f":
        return [None if number != number else number for number in column.tolist()]
    values: list[Any] = column.tolist()
    return values


def _print_summary(folder: Path) -> None:
    from engine.events import ExactLoss
    from engine.runs import open_past
    from tui.sanitize import visible

    steps = thinned = 0
    exact: ExactLoss | None = None
    latest: deque[Stepped] = deque(maxlen=_LATEST)
    past = open_past(folder)
    for span in past.spans():
        counts = span.counts
        steps += int(counts.sum())
        thinned += int(counts[counts > 1].sum())
        latest.extend(span.layout.decode(span.held[-_LATEST:]))
        events = (told.event for told in span.events)
        exact = next((e for e in reversed(list(events)) if isinstance(e, ExactLoss)), exact)
    lost = past.lost + past.damaged
    echo(
        f"{visible(folder.name)}: {counted(steps, 'step')} recorded"
        f"{f', {thinned:,} of them thinned' if thinned else ''}"
        f"{f'; {lost:,} entries are damaged' if lost else ''}."
    )
    if not latest:
        return
    sampled = any(step.sampled for step in latest)
    print_table(
        [
            (
                "step",
                "epoch",
                "loss, sampled" if sampled else "loss",
                "norm before",
                "after",
                "rate",
                "clipped",
                "tokens/s",
            )
        ]
        + [
            (
                f"{step.step:,}",
                f"{step.epoch:.2f}",
                _short(step.loss),
                _short(step.norm_before),
                _short(step.norm_after),
                f"{step.learning_rate:.3g}",
                "yes" if step.clipped else "no",
                f"{step.tokens_per_second:,.0f}",
            )
            for step in latest
        ]
    )
    if exact is not None:
        echo(
            f"Over the whole vocabulary the loss of step {exact.step:,} was {_short(exact.loss)}, "
            f"where {_short(exact.sampled_loss)} was sampled."
        )
    echo("--csv and --json print all of them.")


def _short(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"
