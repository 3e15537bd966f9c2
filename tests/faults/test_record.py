"""Whatever a crash loses of a record that was not synced: what was synced is there, once."""

from pathlib import Path

import msgspec
import pytest

from engine.events import AnyRecorded, Averaging, Stepped
from engine.runs import open_past, recorder, steps
from engine.runs.recorder import Recorder
from tests.faults.disk import Disk, crash_states, lay_out

ROW = 73
"""Bytes of a step without groups."""


def stepped(step: int) -> Stepped:
    return Stepped(
        step=step, epoch=0.0, loss=float(step), learning_rate=0.1, norm_before=1.0, norm_after=0.5,
        groups_before={}, groups_after={}, norm_median=1.0, norm_p90=2.0, norm_p99=3.0,
        clip_mode="norm", clip_threshold=0.25, clipped=False, clip_fraction=0.0, seconds=step * 0.1,
        tokens_per_second=1000.0,
    )  # fmt: skip


def check(folder: Path, synced: int) -> None:
    """Every row up to those that were synced is in the record once, with its loss."""
    past = open_past(folder)
    end, lines = 0, 0
    for span in past.spans():
        lines += len(span.events)
        for place, count, row in zip(span.places, span.counts, span.rows, strict=True):
            if end >= synced and row["step"] == 0:
                continue  # a hole in what was not synced
            assert place == end
            end += int(count)
            if span.thinned:
                assert (row["loss"][0], row["loss"][2]) == (place + 1, end)
            else:
                assert row["loss"] == row["step"] == end
    assert end >= synced
    assert lines >= synced // 10


@pytest.mark.parametrize("old", [False, True])
def test_what_was_synced_survives_thinning_and_conversion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    monkeypatch.setattr(recorder, "STEPS_BYTES", 40 * ROW)
    monkeypatch.setattr(steps, "OLDER_BYTES", 12 * 109)
    (tmp_path / "disk").mkdir()
    before: list[AnyRecorded] = []
    for step in range(1, 31 if old else 1):
        before += [stepped(step), *([Averaging(step=step)] if step % 10 == 0 else [])]
    with monkeypatch.context() as patch:
        disk = Disk(tmp_path / "disk", patch)
        if old:
            lines = [msgspec.json.encode(event) + b"\n" for event in before]
            steps.replace_file(disk.root / "metrics.jsonl", lines)
        marks = [(len(disk.log), 30 if old else 0)]
        writer = Recorder(disk.root)
        for step in range(marks[0][1] + 1, 151):
            writer.add(stepped(step))
            if step % 10 == 0:
                writer.add(Averaging(step=step))
            if step % 5 == 0:
                writer.write()
            if step % 25 == 0:
                writer.sync()
                marks.append((len(disk.log), step))
        writer.close()
    seen = 0
    for done in range(marks[0][0], len(disk.log) + 1):
        synced = max(step for at, step in marks if at <= done)
        for files in {tuple(state.items()): state for state in
                      crash_states(disk.log[:done], seed=done)}.values():  # fmt: skip
            seen += 1
            folder = tmp_path / f"crash-{seen}"
            lay_out(files, folder)
            check(folder, synced)
    assert seen > 300
