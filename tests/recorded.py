"""What the tests of the record share."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from engine.events import AnyEvent, Stepped
from engine.runs.steps import Layout


def as_recorded(event: AnyEvent) -> AnyEvent:
    """The event as the record keeps it: most numbers of a step have 24 bits."""
    if not isinstance(event, Stepped):
        return event
    layout = Layout(list(event.groups_before))
    rows = np.frombuffer(layout.encode(event), layout.step)
    return next(layout.decode(rows))


def write_old(folder: Path, events: Iterable[AnyEvent]) -> None:
    """Write a record as versions before steps.bin did."""
    lines = [msgspec.json.encode(event) + b"\n" for event in events]
    (folder / "metrics.jsonl").write_bytes(b"".join(lines))
