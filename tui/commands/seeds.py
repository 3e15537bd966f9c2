"""Runs that differ in their seed alone: how far apart they end is how much may be chance."""

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from tui.progress_line import number


class Outcome(NamedTuple):
    """How a run of one seed ended."""

    seed: int
    summary: dict[str, Any]
    """What `lstm-tui train --json` says last."""


def spread(outcomes: Sequence[Outcome]) -> tuple[dict[str, Any], list[str]]:
    """Of the runs' last validations, as a record and in sentences: each, their mean and their
    standard deviation (that of a sample, of two runs and more)."""
    runs: list[dict[str, Any]] = [
        {"seed": seed, **{name: summary.get(name) for name in ("run", *_MEASURES)}}
        for seed, summary in outcomes
    ]
    record: dict[str, Any] = {"type": "Seeds", "runs": runs}
    for name in _MEASURES:
        values = [run[name] for run in runs if run[name] is not None]
        record[name] = {
            "of": len(values),
            "mean": statistics.fmean(values) if values else None,
            "deviation": statistics.stdev(values) if len(values) > 1 else None,
        }
    return record, [*map(_told, runs), _told_of_all(record)]


_MEASURES = ("valid_loss", "valid_perplexity")


def _told(run: dict[str, Any]) -> str:
    measured = (
        f"valid loss {number(run['valid_loss'], 4)}, perplexity "
        f"{number(run['valid_perplexity'], 2)}"
        if run["valid_loss"] is not None
        else "not validated"
    )
    return f"seed {run['seed']}  {run['run']}  {measured}"


def _told_of_all(record: dict[str, Any]) -> str:
    loss, perplexity = (record[name] for name in _MEASURES)
    if loss["mean"] is None:
        return "None of them was validated."
    runs = f"{loss['of']} runs" if loss["of"] != 1 else "one run"
    measures = [
        f"{name} {number(of_all['mean'], decimals)}"
        + ("" if of_all["deviation"] is None else f" ± {number(of_all['deviation'], decimals)}")
        for name, of_all, decimals in (("valid loss", loss, 4), ("perplexity", perplexity, 2))
    ]
    return f"{runs}: {', '.join(measures)} (mean ± standard deviation)."
