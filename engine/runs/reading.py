"""The past of a run, opened to be read: see `engine.runs.past`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UserError
from engine.events import AnyRecorded, Extent

if TYPE_CHECKING:
    from engine.runs.past import Past


def read_metrics(folder: Path, extent: Extent | None = None) -> Iterator[AnyRecorded]:
    """The run's past in order, all of it or as far as `extent`; of steps that were thinned the
    last of each row, with the means.

    A last line or row cut short by a crash is left out. Raises UserError on a damaged one.
    """
    past = open_past(folder, extent)
    for span in past.spans():
        yield from span.in_order()
        if past.damage:
            break
    if past.damage:
        raise UserError(past.damage)


def open_past(folder: Path, extent: Extent | None = None) -> "Past":
    """The run's past, all of it or as far as `extent`, to be read in spans."""
    from engine.runs.past import Past  # NumPy, without which a run can be listed

    return Past(folder, extent)
