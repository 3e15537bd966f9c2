"""Steps on the disk: what a row keeps, what thinning keeps, and what a reader makes of it."""

import errno
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.events import AnyRecorded, Averaging, RolledBack, Sampled, Saved, Stepped
from engine.runs import open_past, read_metrics, recorder, steps
from engine.runs.past import Span
from engine.runs.recorder import Recorder
from engine.runs.steps import HEADER, Layout, open_older, open_steps
from engine.runs.table import read_steps
from tests.recorded import as_recorded, write_old

GROUPS = ("embedding", "lstm.0", "output")
LAYOUT = Layout(GROUPS)
FLOAT32_MAX = float(np.finfo(np.float32).max)


def stepped(step: int, **changes: Any) -> Stepped:
    values: dict[str, Any] = {
        "step": step,
        "epoch": step / 100,
        "loss": 2.0,
        "learning_rate": 0.1,
        "norm_before": 1.0,
        "norm_after": 0.5,
        "groups_before": dict.fromkeys(GROUPS, 0.5),
        "groups_after": dict.fromkeys(GROUPS, 0.25),
        "norm_median": 1.0,
        "norm_p90": 2.0,
        "norm_p99": 3.0,
        "clip_mode": "norm",
        "clip_threshold": 0.25,
        "clipped": True,
        "clip_fraction": 1.0,
        "seconds": step * 0.1,
        "tokens_per_second": 1000.0,
    }
    return Stepped(**(values | changes))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record of 200 whole steps and 40 rows of thinned ones at most."""
    monkeypatch.setattr(recorder, "STEPS_BYTES", 200 * LAYOUT.step.itemsize)
    monkeypatch.setattr(steps, "OLDER_BYTES", 40 * LAYOUT.older.itemsize)


def record(folder: Path, events: list[AnyRecorded], batch: int = 20) -> Recorder:
    """Write events in batches."""
    writer = Recorder(folder)
    for start in range(0, len(events), batch):
        for event in events[start : start + batch]:
            writer.add(event)
        writer.write()
    return writer


# --- a row --------------------------------------------------------------------------------------


def test_a_step_of_three_groups_takes_at_most_a_hundred_bytes() -> None:
    assert LAYOUT.step.itemsize == len(LAYOUT.encode(stepped(1))) == 97


numbers = st.floats(allow_nan=False, allow_infinity=False)
norms = numbers | st.none()


@given(
    step=st.integers(1, 2**32 - 1),
    loss=norms,
    group=norms,
    rate=numbers,
    seconds=numbers,
    median=numbers,
    mode=st.sampled_from(steps.CLIP_MODES),
    clipped=st.booleans(),
    skipped=st.booleans(),
    sampled=st.booleans(),
    data=st.data(),
)
def test_a_row_gives_back_the_step(
    step: int, loss: Any, group: Any, rate: float, seconds: float, median: float, mode: str,
    clipped: bool, skipped: bool, sampled: bool, data: st.DataObject,
) -> None:  # fmt: skip
    finite = data.draw(st.integers(0, step))
    share = data.draw(st.integers(0, finite)) / max(1, finite)
    event = stepped(
        step,
        loss=loss,
        groups_before=dict.fromkeys(GROUPS, group),
        learning_rate=rate,
        seconds=seconds,
        norm_median=median,
        clip_mode=mode,
        clipped=clipped,
        skipped=skipped,
        sampled=sampled,
        non_finite_steps=step - finite,
        clip_fraction=share,
    )
    again = as_recorded(event)
    large = any(abs(value or 0) > FLOAT32_MAX for value in (loss, group, median))
    expected = msgspec.structs.replace(
        event,
        loss=rounded(loss),
        groups_before=dict.fromkeys(GROUPS, rounded(group)),
        norm_median=rounded(median),
        **({"learning_rate": fitting(rate), "seconds": fitting(seconds)} if large else {}),
    )
    if not large and None in (loss, group):  # all of these go the slow way
        expected = msgspec.structs.replace(
            expected, learning_rate=fitting(rate), seconds=fitting(seconds)
        )
    assert again == expected


def fitting(value: float) -> float:
    return min(max(value, -FLOAT32_MAX), FLOAT32_MAX)


def rounded(value: float | None) -> float | None:
    """As float32 has it: the largest there is where it is too large."""
    return None if value is None else float(np.float32(fitting(value)))


def test_numbers_too_large_for_a_row_are_the_largest_there_are() -> None:
    event = as_recorded(stepped(2**40, loss=1e300, norm_before=-1e300, non_finite_steps=2**50))
    assert isinstance(event, Stepped)
    assert (event.step, event.loss, event.norm_before) == (2**32 - 1, FLOAT32_MAX, -FLOAT32_MAX)


# --- thinning -----------------------------------------------------------------------------------


def a_run(seed: int, length: int, *, back: float = 0.0) -> list[AnyRecorded]:
    """Steps of random numbers, some not finite, and now and then a roll-back."""
    chance = random.Random(seed)
    events: list[AnyRecorded] = []
    step = 0
    while len(events) < length:
        step += 1
        loss = None if chance.random() < 0.05 else chance.gauss(0, 1)
        events.append(stepped(step, loss=loss, norm_before=loss and abs(loss)))
        if chance.random() < back:
            to = max(0, step - chance.randint(1, 20))
            events.append(RolledBack(step=to, from_step=step, learning_rate=0.1))
            step = to
    return events


def held(folder: Path) -> Iterator[tuple[Span, int, int, np.void]]:
    """Each row of a record: its span, its place, its count and itself."""
    for span in open_past(folder).spans():
        places, counts = span.places.tolist(), span.counts.tolist()
        for place, count, row in zip(places, counts, span.rows, strict=True):
            yield span, place, count, row


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("back", [0.0, 0.002, 0.4])
@pytest.mark.parametrize("seed", range(3))
def test_thinning_keeps_the_least_the_mean_and_the_greatest_within_its_bound(
    tmp_path: Path, seed: int, back: float
) -> None:
    events = a_run(seed, 3000, back=back)
    writer = Recorder(tmp_path)
    largest = 0
    for event in events:
        writer.add(event)
        writer.write()
        sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
        largest = max(largest, sizes.get("steps.bin", 0))
        assert sizes.get("older.bin", 0) <= HEADER + steps.OLDER_BYTES
    writer.close()
    assert largest <= HEADER + recorder.STEPS_BYTES + LAYOUT.step.itemsize
    taken = [event for event in events if isinstance(event, Stepped)]
    end = dropped = None
    thinned = 0
    for _, place, count, row in held(tmp_path):
        dropped = place if end is None else dropped
        assert end in (None, place), "every step is in one row"
        end = place + count
        part = taken[place:end]
        assert row["step"] == part[-1].step == part[0].step + count - 1
        losses = np.array([event.loss for event in part if event.loss is not None], np.float32)
        if count == 1:
            continue
        thinned += count
        low, mean, high = row["loss"]
        if len(losses):
            assert (low, high) == (losses.min(), losses.max())
            assert low <= mean <= high
            if len(losses) == count:
                assert mean == pytest.approx(losses.mean(dtype=float), rel=1e-5, abs=1e-6)
        else:
            assert math.isnan(low) and math.isnan(mean) and math.isnan(high)
        assert row["seconds"] == part[-1].seconds
    assert end == len(taken)
    assert thinned > 1000 or back > 0.1
    assert dropped == 0 or back > 0.1, "where each step is apart the oldest go"
    assert [e for e in read_metrics(tmp_path) if isinstance(e, RolledBack)] == [
        e for e in events if isinstance(e, RolledBack)
    ]


@pytest.mark.usefixtures("small")
def test_neighbours_are_those_of_the_step_number_and_merged_two_by_two(tmp_path: Path) -> None:
    record(tmp_path, list(map(stepped, range(1, 1201)))).close()
    older = open_older(tmp_path)
    assert older is not None
    rows = np.concatenate(list(older.blocks()))
    older.close()
    width = older.header.width
    assert width in (32, 64)
    assert set(rows["step"][rows["steps"] == width] % width) == {0}
    assert (rows["steps"] < width).sum() <= len(rows) / 2


@pytest.mark.usefixtures("small")
def test_a_crash_within_thinning_leaves_every_step_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = a_run(0, 400)
    writer = record(tmp_path, events)
    before = (tmp_path / "steps.bin").read_bytes()
    with monkeypatch.context() as patch:
        real, names = steps.replace_file, []

        def only_the_first(path: Path, chunks: Any) -> None:
            names.append(path.name)
            if len(names) > 1:
                raise OSError(28, "No space left on device")
            real(path, chunks)

        patch.setattr(steps, "replace_file", only_the_first)
        with pytest.raises(OSError, match="No space"):
            steps.thin(tmp_path, keep=50)
    assert names == ["older.bin", "steps.bin"]
    assert (tmp_path / "steps.bin").read_bytes() == before
    places = [(place, count) for _, place, count, _ in held(tmp_path)]
    assert [place for place, _ in places] == list(np.cumsum([0, *[n for _, n in places]])[:-1])
    assert sum(count for _, count in places) == 400
    for event in a_run(0, 800)[400:]:
        writer.add(event)
        writer.write()
    writer.close()
    assert sum(count for _, _, count, _ in held(tmp_path)) == 800


# --- order, bounds, damage ----------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from("sssssabr"), max_size=60), st.integers(1, 20))
def test_steps_and_rarer_events_keep_their_order(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str], batch: int
) -> None:
    folder = tmp_path_factory.mktemp("record")
    events: list[AnyRecorded] = []
    step = 0
    for kind in kinds:
        match kind:
            case "s":
                step += 1
                events.append(stepped(step))
            case "a":
                events.append(Averaging(step=step))
            case "b":
                events.append(Sampled(step=step, text='"}\n,"row":9}'))
            case "r":
                events.append(RolledBack(step=step // 2, from_step=step, learning_rate=0.1))
                step //= 2
    record(folder, events, batch).close()
    assert list(read_metrics(folder)) == list(map(as_recorded, events))
    old = tmp_path_factory.mktemp("old")
    write_old(old, events)
    assert list(read_metrics(old)) == list(map(as_recorded, events))
    Recorder(old).open()
    assert list(read_metrics(old)) == list(map(as_recorded, events))


def test_a_full_metrics_file_keeps_saves_to_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_LIMITS", {Sampled: 2000, Saved: 4000})
    monkeypatch.setattr(recorder, "_OTHER_LIMIT", 3000)
    events: list[AnyRecorded] = []
    for step in range(100):
        events += [Sampled(step=step, text="x" * 20), Averaging(step=step)]
        events.append(Saved(step=step, checkpoint=f"step-{step}", seconds=0.0))
    record(tmp_path, events).close()
    lines = (tmp_path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    assert 3900 < sum(map(len, lines)) <= 4000
    kinds = [json.loads(line)["type"] for line in lines]
    assert sum(map(len, lines[: kinds[::-1].index("Sampled") * -1])) + 200 >= 2000
    assert set(kinds[-5:]) == {"Saved"}
    assert kinds.index("Saved") < 3


def test_what_waits_for_room_is_bounded_and_what_was_lost_of_it_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "MAX_WAITING", 50 * LAYOUT.step.itemsize)
    writer = record(tmp_path, [stepped(1)])

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(recorder, "write_all", full)
        for step in range(2, 500):
            writer.add(stepped(step))
            writer.add(Averaging(step=step))
            with pytest.raises(OSError, match="No space"):
                writer.write()
            assert len(writer._row_data) <= recorder.MAX_WAITING
            assert writer._line_bytes <= recorder.MAX_WAITING // 4
    assert writer.extent is not None and writer.extent.rows == 1
    writer.add(stepped(500))
    writer.write()
    writer.close()
    past = open_past(tmp_path)
    rows = np.concatenate([span.rows for span in past.spans()])
    assert len(rows) == 500
    there = rows["step"][rows["step"] > 0]
    assert there[0] == 1 and there[1:].tolist() == list(range(502 - len(there), 501))
    assert past.lost == 500 - len(there) > 400


def test_a_torn_tail_is_left_out_and_cut_at_the_next_writing(tmp_path: Path) -> None:
    record(tmp_path, list(map(stepped, range(1, 6)))).close()
    with (tmp_path / "steps.bin").open("ab") as file:
        file.write(b"torn")
    assert len(list(read_metrics(tmp_path))) == 5
    record(tmp_path, [stepped(6)]).close()
    assert len(list(read_metrics(tmp_path))) == 6
    assert (tmp_path / "steps.bin").stat().st_size == HEADER + 6 * LAYOUT.step.itemsize


def test_a_zeroed_block_is_left_out_and_counted(tmp_path: Path) -> None:
    record(tmp_path, list(map(stepped, range(1, 101)))).close()
    path = tmp_path / "steps.bin"
    data = bytearray(path.read_bytes())
    size = LAYOUT.step.itemsize
    data[HEADER + 50 * size : HEADER + 60 * size] = bytes(10 * size)
    path.write_bytes(data)
    past = open_past(tmp_path)
    told = [event for span in past.spans() for event in span.in_order()]
    assert [event.step for event in told] == [*range(1, 51), *range(61, 101)]
    assert past.lost == 10 and past.damage.endswith("steps.bin is damaged.")


@pytest.mark.parametrize(
    "change",
    [
        {"groups": ["x"] * 33},
        {"groups": ["\x1b[31m"]},
        {"groups": 5},
        {"first": -1},
        {"first": 2**60},
        {"format": "lstm-tui older steps 1"},
        {"width": 2**40},
    ],
)
def test_a_head_that_can_not_be_is_told(tmp_path: Path, change: dict[str, Any]) -> None:
    record(tmp_path, list(map(stepped, range(1, 6)))).close()
    path = tmp_path / "steps.bin"
    data = path.read_bytes()
    head = json.dumps(json.loads(data[:HEADER]) | change).encode().ljust(HEADER - 1) + b"\n"
    path.write_bytes(head + data[HEADER:])
    past = open_past(tmp_path)
    assert sum(len(span.rows) for span in past.spans()) == 0
    assert past.lost == 1 and "steps.bin is damaged in its first line" in past.damage


def test_the_dtype_in_the_head_is_for_others_alone(tmp_path: Path) -> None:
    record(tmp_path, list(map(stepped, range(1, 6)))).close()
    path = tmp_path / "steps.bin"
    data = path.read_bytes()
    head = json.loads(data[:HEADER])
    described = np.dtype([(name, kind, *map(tuple, shape)) for name, kind, *shape in head["dtype"]])
    assert np.frombuffer(data, described, offset=HEADER)["step"].tolist() == [1, 2, 3, 4, 5]
    head["dtype"] = [["step", "O"]]
    path.write_bytes(json.dumps(head).encode().ljust(HEADER - 1) + b"\n" + data[HEADER:])
    assert len(list(read_metrics(tmp_path))) == 5


def test_the_table_has_a_column_for_each_number(tmp_path: Path) -> None:
    events = [*map(stepped, range(1, 4)), stepped(4, loss=None, skipped=True, clip_mode="value")]
    record(tmp_path, events).close()
    table = read_steps(tmp_path)
    assert table["step"].tolist() == [1, 2, 3, 4] and set(table["steps"]) == {1}
    np.testing.assert_array_equal(table["loss"], [2, 2, 2, math.nan])
    np.testing.assert_array_equal(table["loss_max"], table["loss"])
    np.testing.assert_array_equal(table["before.lstm.0"], [0.5] * 4)
    assert table["clip_mode"].tolist() == ["norm"] * 3 + ["value"]
    assert table["skipped"].tolist() == [False] * 3 + [True]
    assert len(read_steps(tmp_path / "nowhere")) == 0


@pytest.mark.usefixtures("small")
def test_the_table_says_which_rows_stand_for_several_steps(tmp_path: Path) -> None:
    record(tmp_path, [stepped(step, loss=float(step)) for step in range(1, 401)]).close()
    table = read_steps(tmp_path)
    first = table[0]
    assert first["step"] == first["steps"] == 8
    assert (first["loss_min"], first["loss"], first["loss_max"]) == (1, 4.5, 8)
    assert table["steps"].sum() == 400
    steps_file = open_steps(tmp_path)
    assert steps_file is not None and steps_file.header.first > 0
    steps_file.close()


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("field", ["epoch", "seconds", "learning_rate", "norm_p99"])
def test_a_row_that_can_not_be_is_left_out(tmp_path: Path, field: str, value: float) -> None:
    record(tmp_path, list(map(stepped, range(1, 6)))).close()
    rows = np.memmap(tmp_path / "steps.bin", LAYOUT.step, "r+", offset=HEADER)
    rows[field][2] = value
    rows.flush()
    past = open_past(tmp_path)
    told = [event for span in past.spans() for event in span.in_order()]
    assert [event.step for event in told] == [1, 2, 4, 5]
    assert past.lost == 1


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seconds", math.nan),
        ("steps", 2**31),
        ("steps", 0),
        ("step", 3),
        ("row", 0),
        ("row", 2**63),
    ],
)
def test_a_thinned_row_that_can_not_be_is_left_out(
    tmp_path: Path, field: str, value: float
) -> None:
    record(tmp_path, list(map(stepped, range(1, 401)))).close()
    rows = np.memmap(tmp_path / "older.bin", LAYOUT.older, "r+", offset=HEADER)
    rows[field][2] = value
    rows.flush()
    past = open_past(tmp_path)
    counts = np.concatenate([span.counts for span in past.spans()])
    assert 1 <= past.lost <= 2, "and one that it hides, at worst"
    assert counts.sum() == 400 - 8 * past.lost


# --- a name that is used again, a file that can't be opened ---------------------------------------


def went_back(folder: Path, again: int) -> None:
    """A run of 120 steps, saved at 100, that went back to 50 and took so many more."""
    events: list[AnyRecorded] = [stepped(step) for step in range(1, 101)]
    events.append(Saved(step=100, checkpoint="step-00000100", seconds=0.1))
    events += [stepped(step) for step in range(101, 121)]
    events.append(RolledBack(step=50, from_step=120, learning_rate=0.1))
    record(folder, events + [stepped(step) for step in range(51, 51 + again)]).close()


@pytest.mark.parametrize("again", [0, 20, 49, 51])
def test_a_run_that_went_back_and_saved_nothing_goes_on_from_what_was_saved_before(
    tmp_path: Path, again: int
) -> None:
    went_back(tmp_path, again)
    end, more = recorder.checkpoint_end(tmp_path, 100, "step-00000100")
    assert (end.rows, more) == (100, True)


def test_a_checkpoint_of_a_name_that_was_used_before_is_the_newer_one(tmp_path: Path) -> None:
    """The older one is gone, and the engine was killed before it told of the newer."""
    went_back(tmp_path, again=50)
    end, more = recorder.checkpoint_end(tmp_path, 100, "step-00000100")
    assert (end.rows, more) == (170, False)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("failing", ["_open_for_appending", "open_steps"])
def test_steps_that_could_not_be_opened_again_after_thinning_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    writer = record(tmp_path, [stepped(step) for step in range(1, 151)])

    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(recorder, failing, refuse)
        for step in range(151, 161):
            writer.add(stepped(step))
        for step in (161, 162):
            with pytest.raises(OSError, match="Too many open files"):
                writer.write()
            writer.add(stepped(step))
    writer.write()
    writer.close()
    assert open_older(tmp_path) is not None
    past = [event.step for event in read_metrics(tmp_path) if isinstance(event, Stepped)]
    assert past[-102:] == list(range(61, 163))
    assert sum(count for _, _, count, _ in held(tmp_path)) == 162
