"""The steps of a run as one table, for NumPy, pandas and `lstm-tui metrics`."""

from pathlib import Path

import numpy as np

from engine.runs.past import Past, Span
from engine.runs.steps import CLIP_MODES, CLIPPED, MEASURED, SAMPLED, SKIPPED, Layout, Rows

_ONCE = ("epoch", "seconds", "learning_rate", "clip_threshold")
_TALLY = ("norm_median", "norm_p90", "norm_p99", "tokens_per_second")
_COUNTS = ("clipped_steps", "non_finite_steps")


def read_steps(folder: Path | str) -> Rows:
    """All recorded steps of the run in `folder`, the oldest first: an array with named columns.

    `steps` is how many steps a row stands for: one, or where they were thinned a few. Its numbers
    are those of the last of them, but of losses and norms, which differ from step to step, the
    mean; the least is in `loss_min`, the greatest in `loss_max`, and so on. NaN was not finite.
    Raises UserError where the record can't be read.
    """
    tables = [table(span) for span in Past(Path(folder)).spans() if len(span.rows)]
    return np.concatenate(tables) if tables else np.empty(0, columns(Layout(())))


def columns(layout: Layout) -> np.dtype[np.void]:
    """The columns of the table of a run with these parameter groups."""
    measured = ["loss", "norm_before", "norm_after"]
    for side in ("before", "after"):
        measured += [f"{side}.{group}" for group in layout.groups]
    return np.dtype(
        [
            ("step", "<u4"),
            ("steps", "<u4"),
            *[(name, "<f8") for name in _ONCE],
            *[(f"{name}{end}", "<f4") for name in measured for end in ("", "_min", "_max")],
            *[(name, "<f4") for name in _TALLY],
            *[(name, "<u4") for name in _COUNTS],
            ("clip_mode", "<U8"),
            ("clipped", "?"),
            ("skipped", "?"),
            ("sampled", "?"),
        ]
    )


def table(span: Span) -> Rows:
    """The steps of a span, without those that are lost."""
    rows, layout = span.held, span.layout
    made = np.empty(len(rows), columns(layout))
    made["steps"] = rows["steps"] if span.thinned else 1
    for name in ("step", *_ONCE, *_TALLY, *_COUNTS):
        made[name] = rows[name]
    for name in MEASURED:
        values = rows[name] if span.thinned else np.stack([rows[name]] * 3, axis=-1)
        if name.startswith("groups_"):
            side = name.removeprefix("groups_")
            for place, group in enumerate(layout.groups):
                _fill(made, f"{side}.{group}", values[:, place])
        else:
            _fill(made, name, values)
    flags = rows["flags"]
    made["clip_mode"] = np.array(CLIP_MODES)[np.minimum(flags & 7, len(CLIP_MODES) - 1)]
    for name, bit in (("clipped", CLIPPED), ("skipped", SKIPPED), ("sampled", SAMPLED)):
        made[name] = flags & bit > 0
    return made


def _fill(made: Rows, name: str, values: np.ndarray) -> None:
    """Three columns from least, mean and greatest, (rows, 3)."""
    made[f"{name}_min"], made[name], made[f"{name}_max"] = values.T
