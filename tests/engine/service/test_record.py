"""The record: lines on the disk when asked, messages in their own time."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.events import (
    AnyEvent,
    Averaging,
    Extent,
    Progress,
    Rewound,
    RolledBack,
    Saved,
    StateChanged,
    Stepped,
)
from engine.runs import read_metrics, recorder
from engine.service.record import Record
from tests.recorded import write_old


def test_a_sync_writes_at_once_and_leaves_the_sending_to_the_next_batch(tmp_path: Path) -> None:
    sent: list[list[AnyEvent]] = []
    record = Record(tmp_path, sent.append)
    first, second = Averaging(step=1), Averaging(step=2)
    record.add(first)
    record.sync()
    assert list(read_metrics(tmp_path)) == [first]
    assert sent == []
    record.add(Progress(task="saving", done=1, total=2))
    record.add(second)
    record.flush()
    assert sent == [[first, Progress(task="saving", done=1, total=2), second]]
    assert list(read_metrics(tmp_path)) == [first, second]
    record.close()


def test_what_follows_news_sent_at_once_waits_for_nothing(tmp_path: Path) -> None:
    sent: list[list[AnyEvent]] = []
    record = Record(tmp_path, sent.append)
    events = [Averaging(step=step) for step in range(3)]
    record.add(events[0])
    record.flush()
    record.add(events[1])
    record.flush_if_due()
    assert sent == [[events[0]], [events[1]]]
    record.add(events[2])
    record.flush_if_due()
    assert len(sent) == 2, "a batch each INTERVAL"
    record.close()


# --- looking, going back, records of earlier versions --------------------------------------------


def stepped(step: int) -> Stepped:
    return Stepped(
        step=step,
        epoch=step / 100,
        loss=2.5,
        learning_rate=0.1,
        norm_before=1.0,
        norm_after=0.5,
        groups_before={"embedding": 0.5, "output": 0.25},
        groups_after={"embedding": 0.5, "output": 0.25},
        norm_median=1.0,
        norm_p90=2.0,
        norm_p99=3.0,
        clip_mode="norm",
        clip_threshold=0.25,
        clipped=False,
        clip_fraction=0.0,
        seconds=step * 0.1,
        tokens_per_second=1000.0,
    )


def saved(step: int) -> Saved:
    return Saved(step=step, checkpoint=f"step-{step:08d}", seconds=0.0)


PAST = [stepped(1), stepped(2), Averaging(step=2), stepped(3), saved(3)]
VOID = [stepped(4), Averaging(step=4), stepped(5)]
MORE = [stepped(4), Averaging(step=4)]


def write_new(folder: Path, events: Iterable[AnyEvent]) -> None:
    record = Record(folder, lambda _: None)
    for event in events:
        record.add(event)
    record.close()


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


@pytest.fixture(params=[write_new, write_old])
def write(request: pytest.FixtureRequest) -> Callable[[Path, Iterable[AnyEvent]], None]:
    """Writes a record, of this version or of an earlier one."""
    return request.param


Write = Callable[[Path, Iterable[AnyEvent]], None]


def test_looking_writes_nothing(tmp_path: Path, write: Write) -> None:
    write(tmp_path, [*PAST, *VOID])
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b"{damaged}\n{torn")
    before = contents(tmp_path)
    sent: list[AnyEvent] = []
    record = Record(tmp_path, sent.extend)
    assert record.extent is None
    record.rewind(3, "step-00000003")
    assert list(read_metrics(tmp_path, record.extent)) == PAST
    record.sync()
    record.close()
    assert contents(tmp_path) == before
    assert sent == [Rewound(recorded=record.extent)]


def test_an_empty_folder_stays_empty(tmp_path: Path) -> None:
    record = Record(tmp_path, lambda _: None)
    record.rewind(0, "")
    record.add(StateChanged(state="ready"))
    record.sync()
    record.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("more", [MORE, [Averaging(step=3), *MORE]])
@pytest.mark.parametrize("marked", [True, False])
def test_the_first_event_cuts_off_what_is_void(
    tmp_path: Path, write: Write, marked: bool, more: list[AnyEvent]
) -> None:
    """Also where a crash came between the checkpoint and the line that tells of it."""
    past = PAST if marked else PAST[:-1]
    write(tmp_path, [*past, *VOID])
    record = Record(tmp_path, lambda _: None)
    record.rewind(3, "step-00000003")
    for number, event in enumerate(more, start=1):
        record.add(event)
        record.flush()
        so_far = [*past, *more[:number]]
        assert list(read_metrics(tmp_path, record.extent)) == so_far
        assert list(read_metrics(tmp_path)) == so_far
    record.close()
    lines = (tmp_path / "metrics.jsonl").read_bytes().splitlines()
    assert all(b'"row":' in line and b"Stepped" not in line for line in lines)


def test_a_reader_who_was_told_before_the_cut_reads_the_same_after_it(
    tmp_path: Path, write: Write
) -> None:
    write(tmp_path, [*PAST, *VOID])
    record = Record(tmp_path, lambda _: None)
    record.rewind(3, "step-00000003")
    told = record.extent
    before = list(read_metrics(tmp_path, told))
    for event in MORE:
        record.add(event)
    record.close()
    assert before == PAST
    assert [e for e in read_metrics(tmp_path, told) if isinstance(e, Stepped)] == [
        e for e in PAST if isinstance(e, Stepped)
    ]
    if write is write_new:
        assert list(read_metrics(tmp_path, told)) == PAST


def test_a_run_that_was_never_saved_begins_anew(tmp_path: Path, write: Write) -> None:
    write(tmp_path, VOID)
    (tmp_path / "older.bin").write_bytes(b"left over")
    record = Record(tmp_path, lambda _: None)
    record.rewind(0, "")
    assert list(read_metrics(tmp_path, record.extent)) == []
    record.add(stepped(1))
    record.close()
    assert list(read_metrics(tmp_path)) == [stepped(1)]


def test_a_roll_back_is_part_of_the_past(tmp_path: Path, write: Write) -> None:
    back = RolledBack(step=1, from_step=2, learning_rate=0.1)
    past = [stepped(1), saved(1), stepped(2), back, stepped(2), stepped(3), saved(3)]
    write(tmp_path, [*past, stepped(4)])
    for name, kept in (("step-00000003", past), ("step-00000001", past[:2])):
        record = Record(tmp_path, lambda _: None)
        record.rewind(3, name)
        assert list(read_metrics(tmp_path, record.extent)) == kept


@pytest.mark.parametrize("rows", [5, 250, 390])
def test_going_back_to_steps_that_were_thinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(recorder, "STEPS_BYTES", 100 * 89)
    past: list[AnyEvent] = []
    for step in range(1, 401):
        past += [stepped(step), saved(step)]
    writing = Record(tmp_path, lambda _: None)
    for event in past:
        writing.add(event)
        writing.flush()
    writing.close()
    record = Record(tmp_path, lambda _: None)
    record.rewind(rows, f"step-{rows:08d}")

    def steps(extent: Extent | None) -> list[int]:
        return [e.step for e in read_metrics(tmp_path, extent) if isinstance(e, Stepped)]

    pending = steps(record.extent)
    assert all(step <= rows for step in pending) and rows - max(pending, default=0) < 8
    record.add(stepped(rows + 1))
    record.flush()
    assert steps(record.extent) == steps(None) == [*pending, rows + 1]
    for step in range(rows + 2, rows + 400):
        record.add(stepped(step))
        record.flush()
    record.close()
    assert steps(None)[-1] == rows + 399
    assert [e.step for e in read_metrics(tmp_path) if isinstance(e, Saved)][-1] == rows


@pytest.mark.parametrize("name", ["metrics.jsonl", "steps.bin", "older.bin"])
def test_a_link_is_neither_read_nor_written(tmp_path: Path, name: str) -> None:
    write_new(tmp_path, PAST)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    folder = tmp_path / "run"
    folder.mkdir()
    for path in ("metrics.jsonl", "steps.bin"):
        (tmp_path / path).rename(folder / path)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(victim)
    record = Record(folder, lambda _: None)
    with pytest.raises(UserError, match=f"{name}.*symbolic link"):
        record.rewind(3, "step-00000003")
    with pytest.raises(UserError, match=f"{name}.*symbolic link"):
        list(read_metrics(folder))
    with pytest.raises(UserError, match=name):
        record.open()
    assert victim.read_bytes() == b"precious"
