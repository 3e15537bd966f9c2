import math
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.config import TrainingConfig
from engine.events import (
    AnyRecorded,
    Averaging,
    Evaluated,
    ExactLoss,
    Intervened,
    NonFinite,
    RolledBack,
    Sampled,
    StateChanged,
    Stepped,
)
from engine.runs import open_past
from engine.runs.recorder import Recorder
from tests.recorded import as_recorded, write_old
from tui.run.history import CLIP_WINDOW, HALF_LIFE, LISTED, SLACK, History, _Average
from tui.run.series import KEPT, Series


def stepped(step: int, loss: float | None = 2.0, *, clipped: bool = False) -> Stepped:
    return Stepped(
        step=step,
        epoch=step / 100,
        loss=loss,
        learning_rate=0.1 * step,
        norm_before=None if loss is None else loss / 2,
        norm_after=None if loss is None else loss / 4,
        groups_before={},
        groups_after={},
        norm_median=1.0,
        norm_p90=2.0,
        norm_p99=3.0,
        clip_mode="norm",
        clip_threshold=0.25,
        clipped=clipped,
        clip_fraction=0.5,
        skipped=loss is None,
        seconds=step * 0.1,
        tokens_per_second=1000.0,
    )


def evaluated(step: int, split: str = "valid") -> Evaluated:
    return Evaluated(step=step, split=split, loss=2.0, perplexity=7.4, tokens=10, seconds=0.1)


def losses(history: History) -> list[float]:
    return history.loss.values().tolist()


# --- Series -------------------------------------------------------------------------------------


def brute_envelope(values: np.ndarray, start: int, stop: int, columns: int):
    low, high = np.full(columns, np.nan), np.full(columns, np.nan)
    for column in range(columns):
        first = start + (stop - start) * column // columns
        last = start + (stop - start) * (column + 1) // columns
        part = values[first:last]
        part = part[np.isfinite(part)]
        if len(part):
            low[column], high[column] = part.min(), part.max()
    return low, high


@settings(deadline=None)
@given(
    st.lists(st.floats(width=32) | st.none(), max_size=400),
    st.integers(0, 420),
    st.integers(0, 420),
    st.integers(1, 60),
)
def test_envelope_of_a_short_stretch_is_exact(values, start, length, columns):
    stop = start + min(length, 32 * columns - 1)
    series = Series([math.nan if value is None else value for value in values])
    array = np.array([math.nan if value is None else value for value in values], np.float32)
    expected = brute_envelope(array, start, stop, columns)
    np.testing.assert_array_equal(series.envelope(start, stop, columns), expected)


@settings(deadline=None)
@given(st.integers(0, 50_000), st.integers(0, 9_000), st.integers(1, 90), st.integers(0, 2**32 - 1))
def test_envelope_of_a_long_stretch_is_off_by_an_eighth_of_a_column(length, start, columns, seed):
    values = np.random.default_rng(seed).normal(size=length).astype(np.float32)
    series = Series(values)
    assume(start < length)
    low, high = series.envelope(start, length, columns)
    slack = math.ceil((length - start) / columns / 8) + 1
    for column in range(columns):
        first = start + (length - start) * column // columns
        last = start + (length - start) * (column + 1) // columns
        inner = values[first + slack : max(0, last - slack)]
        outer = values[max(0, first - 2 * slack) : last + slack]
        if len(inner):
            assert low[column] <= inner.min()
            assert high[column] >= inner.max()
        if not math.isnan(low[column]):
            assert low[column] >= outer.min()
            assert high[column] <= outer.max()
    whole = values[start:]
    assert np.nanmin(low) <= whole.min()
    assert np.nanmax(high) >= whole.max()


def test_a_single_spike_among_a_million_is_kept():
    values = np.zeros(1_000_000)
    values[777_777] = 5.0
    values[333_333] = -3.0
    low, high = Series(values).envelope(0, 1_000_000, 240)
    assert np.nanmax(high) == 5.0
    assert np.nanmin(low) == -3.0
    assert np.argmax(high) == pytest.approx(777_777 * 240 / 1_000_000, abs=1)
    assert np.argmin(low) == pytest.approx(333_333 * 240 / 1_000_000, abs=1)


def test_the_pyramid_follows_when_the_series_grows_and_shrinks():
    random = np.random.default_rng(0)
    series, values = Series(), np.empty(0, np.float32)
    for _ in range(60):
        new = random.normal(size=random.integers(0, 300)).astype(np.float32)
        series.extend(new)
        values = np.append(values, new)
        if random.random() < 0.3:
            length = int(random.integers(0, len(values) + 1))
            series.truncate(length)
            values = values[:length]
        assert len(series) == len(values)
        fresh = Series(values)
        for columns in (1, 7, 40):
            np.testing.assert_array_equal(
                series.envelope(0, len(values) + 5, columns),
                fresh.envelope(0, len(values) + 5, columns),
            )


def test_what_lies_behind_the_end_is_empty():
    low, high = Series([1.0, 2.0]).envelope(0, 8, 4)
    np.testing.assert_array_equal(low, [1, math.nan, math.nan, math.nan])
    np.testing.assert_array_equal(high, [2, math.nan, math.nan, math.nan])
    assert np.isnan(Series().envelope(0, 100, 10)).all()


def test_numbers_that_are_not_finite_or_too_large_are_gaps():
    series = Series([1.0, math.inf, -math.inf, math.nan, 1e300, 2.0])
    np.testing.assert_array_equal(series.values(), [1, *[math.nan] * 4, 2])


def test_an_envelope_costs_no_more_for_a_hundred_times_the_steps():
    def cost(length: int) -> float:
        series = Series(np.zeros(length))
        times = []
        for _ in range(20):
            began = time.perf_counter()
            series.envelope(0, length, 240)
            times.append(time.perf_counter() - began)
        return min(times)

    assert cost(4_000_000) < 8 * cost(40_000)


# --- History ------------------------------------------------------------------------------------


def test_every_step_is_kept_at_its_index():
    history = History()
    history.apply([stepped(1, 3.0), stepped(2, 2.5)])
    history.apply([StateChanged(state="paused"), stepped(3, 2.0)])
    assert history.step == 3
    assert losses(history) == [3.0, 2.5, 2.0]
    assert history.norm_before.values().tolist() == [1.5, 1.25, 1.0]
    assert history.norm_after.values().tolist() == [0.75, 0.625, 0.5]
    assert history.clip_threshold.values().tolist() == [0.25] * 3
    assert history.last == stepped(3, 2.0)


def test_rarer_events_are_kept_in_lists():
    history = History()
    events = [
        stepped(1),
        evaluated(1),
        Sampled(step=1, text="the mathematician ran"),
        Intervened(step=1, action="learning_rate", old=20.0, new=10.0),
        NonFinite(step=1, tensor="loss", value="nan", in_a_row=1),
    ]
    history.apply(events)
    assert [
        *history.evaluations,
        *history.samples,
        *history.interventions,
        *history.non_finite,
    ] == events[1:]


def test_a_resumed_run_forgets_what_came_after_its_checkpoint():
    history = History()
    history.apply([stepped(step, 9.0, clipped=True) for step in range(1, 101)])
    history.apply([evaluated(50), evaluated(100), Intervened(step=60, action="pause")])
    history.apply([stepped(51, 1.0), evaluated(51), stepped(52, 1.0)])
    assert history.step == 52
    assert losses(history) == [9.0] * 50 + [1.0, 1.0]
    assert [event.step for event in history.evaluations] == [50, 51]
    assert history.interventions == []
    assert history.recent_clip_fraction == 50 / 52
    assert history.last == stepped(52, 1.0)
    assert len(history.smoothed_loss) == len(history.norm_after) == 52


def test_how_near_early_stopping_is_is_what_the_engine_last_said():
    def told(*stale: int | None) -> list[Evaluated]:
        return [
            msgspec.structs.replace(evaluated(step), stale=each) for step, each in enumerate(stale)
        ]

    history = History()
    assert history.stale is None
    history.apply(told(0, 1, 2))
    assert history.stale == 2
    history.apply(told(None))
    assert history.stale == 2, "one that steers nothing says nothing"
    history.apply([RolledBack(step=1, from_step=3, learning_rate=0.1, stale=0)])
    assert history.stale == 0
    history.apply([*told(0, 1), RolledBack(step=1, from_step=3, learning_rate=0.1)])
    assert history.stale is None, "an older record doesn't say"


def test_missing_steps_are_gaps():
    history = History()
    history.apply([stepped(1, 3.0, clipped=True), stepped(4, 2.0)])
    assert history.recent_clip_fraction == 0.5, "of the steps that are known"
    np.testing.assert_array_equal(history.loss.values(), [3, math.nan, math.nan, 2])
    assert history.step == 4


def test_a_loss_that_was_not_finite_is_a_gap_and_stays_out_of_the_average():
    history, without = History(), History()
    history.apply([stepped(1, 4.0), stepped(2, None), stepped(3, 2.0)])
    without.apply([stepped(1, 4.0), stepped(2, 2.0)])
    assert math.isnan(history.loss.values()[1])
    assert math.isnan(history.smoothed_loss.values()[1])
    assert math.isnan(history.norm_before.values()[1])
    assert history.smoothed_loss.values()[2] == without.smoothed_loss.values()[1]


def test_the_smoothed_loss_starts_at_the_first_loss_and_halves_in_its_half_life():
    history = History()
    history.apply([stepped(1, 5.0)])
    assert history.smoothed_loss.values()[0] == pytest.approx(5.0)
    history.apply([stepped(step, 1.0) for step in range(2, 2001)])
    history.apply([stepped(2000 + step, 0.0) for step in range(1, HALF_LIFE + 1)])
    assert history.smoothed_loss.values()[-1] == pytest.approx(0.5, abs=1e-4)


def test_the_smoothed_loss_goes_on_after_a_resume_as_if_nothing_had_been():
    events = [stepped(step, 5 + math.sin(step)) for step in range(1, 3001)]
    straight, resumed = History(), History()
    straight.apply(events)
    resumed.apply(events[:2500])
    resumed.apply(events[2000:])
    np.testing.assert_allclose(
        resumed.smoothed_loss.values(), straight.smoothed_loss.values(), rtol=1e-6
    )


def test_the_clip_fraction_runs_over_the_last_steps():
    history = History()
    assert history.recent_clip_fraction == 0.0
    history.apply([stepped(1, clipped=True), stepped(2), stepped(3), stepped(4, clipped=True)])
    assert history.recent_clip_fraction == 0.5
    history.apply([stepped(step) for step in range(5, 5 + CLIP_WINDOW)])
    assert history.recent_clip_fraction == 0.0


def test_a_run_that_went_back_forgets_what_came_after():
    history = History()
    history.apply(
        [
            *[stepped(step) for step in range(1, 9)],
            Averaging(step=8),
            *[ExactLoss(step=step, loss=2.5, sampled_loss=2.4) for step in (1, 8)],
            stepped(9, None),
            NonFinite(step=9, tensor="loss", value="nan", in_a_row=1),
        ]
    )
    assert history.non_finite_since == 9 and history.averaging is not None
    back = RolledBack(step=6, from_step=9, learning_rate=0.5)
    history.apply([back])
    assert history.step == 6 and history.last is None
    assert history.roll_backs == [back]
    assert history.non_finite == [] and history.averaging is None
    assert history.non_finite_since is None
    assert [event.step for event in history.exact_losses] == [1]
    history.apply([stepped(7, 1.0)])
    assert losses(history) == [2.0] * 6 + [1.0]
    assert history.last == stepped(7, 1.0)
    earlier = RolledBack(step=2, from_step=7, learning_rate=0.25)
    history.apply([earlier])
    assert history.roll_backs == [earlier], "the first is void as well"


def test_since_when_a_run_is_not_finite():
    history = History()
    history.apply([stepped(1), stepped(2, None), stepped(3), stepped(4, None)])
    assert history.non_finite_since == 4
    history.apply([stepped(5, None), msgspec.structs.replace(stepped(6), norm_before=None)])
    assert history.non_finite_since == 4
    history.apply([stepped(7)])
    assert history.non_finite_since is None


def test_the_threshold_is_kept_where_it_is_one_of_norms():
    modes = ("norm", "value", "off", "layer", "adaptive")
    history = History()
    history.apply(
        msgspec.structs.replace(stepped(number), clip_mode=mode, clip_threshold=number / 2)
        for number, mode in enumerate(modes, start=1)
    )
    np.testing.assert_array_equal(
        history.clip_threshold.values(), [0.5, math.nan, math.nan, 2.0, 2.5]
    )


def recall(history: History, folder: Path, *events: AnyRecorded) -> None:
    write_old(folder, events)
    for span in open_past(folder).spans():
        history.recall(span)


@pytest.mark.parametrize("far", [10**15, 2 * SLACK])
def test_a_damaged_record_does_not_fill_the_memory(tmp_path: Path, far: int):
    history = History()
    recall(history, tmp_path, stepped(1), stepped(2), stepped(far), stepped(3))
    assert (history.step, history.strays) == (3, 1)
    assert losses(history) == [2.0] * 3
    recall(history, tmp_path, evaluated(10**15))
    recall(history, tmp_path, RolledBack(step=far, from_step=far, learning_rate=0.1))
    recall(history, tmp_path, RolledBack(step=1, from_step=10**15, learning_rate=0.1))
    assert history.evaluations == [] and history.roll_backs == []
    assert (history.step, history.strays) == (3, 4)


@pytest.mark.parametrize("lost", [-1, 0])
def test_a_step_that_can_not_be_is_a_gap(tmp_path: Path, lost: int):
    history = History()
    recall(history, tmp_path, stepped(1), stepped(lost), stepped(3))
    np.testing.assert_array_equal(history.loss.values(), [2, math.nan, 2])


def test_steps_missing_from_a_record_are_a_gap_and_so_are_any_before_a_live_one(tmp_path: Path):
    history = History()
    recall(history, tmp_path, stepped(1), stepped(SLACK))
    assert (history.step, history.strays) == (SLACK, 0)
    history.apply([stepped(4 * SLACK)])
    assert history.step == 4 * SLACK
    low, _ = history.loss.envelope(0, 4 * SLACK, 40)
    assert np.flatnonzero(np.isfinite(low)).tolist() == [0, 10, 39], "to a quarter of a column"


# --- what is forgotten, and what is recalled -----------------------------------------------------


@pytest.fixture(params=[64, 1024])
def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """So few blocks are kept of each level."""
    monkeypatch.setattr("tui.run.series.KEPT", request.param)
    return request.param


def spikes(length: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    values = random.normal(size=length).astype(np.float32)
    values[random.integers(0, length, 20)] = np.nan
    return values


def check_envelope(series: Series, values: np.ndarray, start: int, stop: int, columns: int) -> None:
    """No number is lost, and none appears that is far from its column."""
    low, high = series.envelope(start, stop, columns)
    part = values[start:stop]
    assert np.nanmin(low) <= np.nanmin(part) and np.nanmax(high) >= np.nanmax(part)
    slack = (stop - start) // columns + 8 ** math.ceil(math.log(max(9, stop - start), 8) - 1)
    for column in range(columns):
        first = start + (stop - start) * column // columns
        last = start + (stop - start) * (column + 1) // columns
        near = values[max(0, first - slack) : last + slack]
        if not math.isnan(low[column]):
            assert np.nanmin(near) <= low[column] <= high[column] <= np.nanmax(near)


def test_a_series_that_forgot_its_oldest_numbers_still_shows_them_all(kept: int) -> None:
    values, series, at = spikes(40_000), Series(), 0
    random = np.random.default_rng(1)
    while at < len(values):
        more = int(random.integers(1, 900))
        series.extend(values[at : at + more])
        at += more
    assert series._lows[0].first > 0
    np.testing.assert_array_equal(series.values(-kept), values[-kept:])
    assert np.isnan(series.values(0, 100)).all() and len(series.values(0, 100)) == 100
    for columns in (1, 3, 60, 480):
        check_envelope(series, values, 0, len(values), columns)
        check_envelope(series, values, 0, 9000, columns)
        check_envelope(series, values, 30_000, 40_000, columns)


def test_what_a_series_holds_is_bounded() -> None:
    series = Series()
    for _ in range(40):
        series.extend(np.zeros(250_000))
        levels = [*series._lows, *series._highs[1:]]
        assert sum(level._room.nbytes for level in levels) <= 4 * 2 * KEPT * len(levels)
    assert len(series) == 10_000_000
    assert len(levels) <= 9
    series.extend_ranges(np.zeros(900_000, np.float32), np.ones(900_000, np.float32),
                         np.full(900_000, 4096))  # fmt: skip
    assert len(series) == 10_000_000 + 900_000 * 4096
    levels = [*series._lows, *series._highs[1:]]
    assert len(series._lows) <= 8
    assert sum(level._room.nbytes for level in levels) <= 4 * 2 * KEPT * 15 < 1_000_000


def test_going_back_into_what_is_forgotten_leaves_a_short_gap(kept: int) -> None:
    values = spikes(40_000)
    for length in (39_999, 33_333, 12_345, 77, 8, 0):
        series = Series(values)
        series.truncate(length)
        assert len(series) == length
        more = spikes(20_000, seed=2)
        series.extend(more)
        whole = np.append(values[:length], more)
        np.testing.assert_array_equal(series.values(-kept), whole[-kept:])
        low, high = series.envelope(0, len(whole), 40)
        gap = np.isnan(series.values(length - 600, length)).sum() if length > 600 else 0
        assert gap <= 600
        for column in range(40):
            first, last = len(whole) * column // 40, len(whole) * (column + 1) // 40
            if last <= length - 600 or first >= length:
                near = whole[max(0, first - 600) : last + 600]
                assert np.nanmin(near) <= low[column] <= high[column] <= np.nanmax(near)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_ranges_count_as_their_least_and_greatest(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    values = random.normal(size=data.draw(st.integers(1, 5000))).astype(np.float32)
    before = data.draw(st.integers(0, len(values) - 1))
    widest = data.draw(st.sampled_from([1, 3, 8, 16, 50, 64, 512]))
    counts, left = [], len(values) - before
    while left:
        counts.append(min(left, int(random.integers(1, widest + 1))))
        left -= counts[-1]
    ends = before + np.cumsum(counts)
    parts = np.split(values[before:], (ends - before)[:-1])
    series = Series(values[:before])
    low = np.array([part.min() for part in parts])
    high = np.array([part.max() for part in parts])
    middle = data.draw(st.integers(0, len(counts)))
    for part in (slice(0, middle), slice(middle, None)):
        if len(low[part]):
            series.extend_ranges(low[part], high[part], np.array(counts)[part])
    after = random.normal(size=data.draw(st.integers(0, 600))).astype(np.float32)
    series.extend(after)
    whole = np.append(values, after)
    assert len(series) == len(whole)
    least, greatest = series.envelope(0, len(whole), 1)
    assert (least[0], greatest[0]) == (whole.min(), whole.max())
    columns = data.draw(st.integers(1, 50))
    least, greatest = series.envelope(0, len(whole), columns)
    assert (np.nanmin(least), np.nanmax(greatest)) == (whole.min(), whole.max())
    slack = len(whole) // columns + 2 * widest + 8
    for column in range(columns):
        first, last = len(whole) * column // columns, len(whole) * (column + 1) // columns
        near = whole[max(0, first - slack) : last + slack]
        if not math.isnan(least[column]):
            assert near.min() <= least[column] <= greatest[column] <= near.max()


def test_the_average_is_the_same_in_one_go_as_one_by_one() -> None:
    random = np.random.default_rng(0)
    losses = np.where(random.random(5000) < 0.1, np.nan, random.normal(3, 1, 5000))
    at_once, one_by_one = _Average(), _Average()
    expected = np.concatenate([one_by_one.extend([loss]) for loss in losses])
    np.testing.assert_allclose(at_once.extend(losses), expected, rtol=1e-12)
    plain, weight = 0.0, 0.0
    keep = 0.5 ** (1 / HALF_LIFE)
    for loss, average in zip(losses, expected, strict=True):
        if math.isnan(loss):
            assert math.isnan(average)
            continue
        plain, weight = keep * plain + (1 - keep) * loss, keep * weight + 1 - keep
        assert average == pytest.approx(plain / weight, rel=1e-12)


@pytest.mark.parametrize("steps", [1, 8, 64, 512, 4096])
def test_an_average_of_rows_of_several_steps_is_finite(steps: int) -> None:
    averages = _Average().extend(np.linspace(5, 1, 3000), steps)
    assert np.isfinite(averages).all() and (np.diff(averages) < 0).all()
    assert averages[0] == pytest.approx(5)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from("sssssssnveraix"), max_size=80))
def test_a_past_recalled_is_what_was_told(tmp_path_factory, kinds: list[str]):
    folder = tmp_path_factory.mktemp("run")
    events, step = [], 0
    for number, kind in enumerate(kinds):
        match kind:
            case "s":
                step += 1
                events.append(stepped(step, 2.0 + number % 3, clipped=number % 2 > 0))
            case "n":
                step += 1
                events.append(stepped(step, None))
                events.append(NonFinite(step=step, tensor="loss", value="nan", in_a_row=1))
            case "v":
                events.append(msgspec.structs.replace(evaluated(step), stale=len(events)))
            case "e":
                events.append(Intervened(step=step, action="evaluate", new="valid"))
            case "r" if step:
                back = RolledBack(step=step // 2, from_step=step, learning_rate=0.1, stale=step)
                events.append(back)
                step //= 2
            case "a":
                events.append(Averaging(step=step))
            case "x":
                events.append(ExactLoss(step=step, loss=2.5, sampled_loss=None))
            case "i":
                events.append(Intervened(step=step, action="learning_rate", old=1.0, new=2.0))
    told, recalled = History(), History()
    told.apply(events)
    recorder = Recorder(folder)
    for event in events:
        recorder.add(event)
    recorder.write()
    recorder.close()
    for span in open_past(folder).spans():
        recalled.recall(span)
    names = ("loss", "smoothed_loss", "norm_before", "norm_after", "clip_threshold")
    for name in (*names, "epoch", "seconds"):
        np.testing.assert_allclose(
            getattr(recalled, name).values(), getattr(told, name).values(), rtol=1e-6
        )
    for name in (
        "step", "recent_clip_fraction", "evaluations", "exact_losses", "interventions",
        "non_finite", "roll_backs", "averaging", "non_finite_since",
    ):  # fmt: skip
        assert getattr(recalled, name) == getattr(told, name), name
    assert recalled.last == (told.last and as_recorded(told.last))
    assert recalled.strays == 0
    assert recalled.stale == told.stale
    limits = TrainingConfig(steps=10_000)
    assert recalled.pace.seconds_left(limits) == pytest.approx(told.pace.seconds_left(limits))


def test_a_spike_that_was_thinned_is_still_on_the_screen(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("engine.runs.recorder.STEPS_BYTES", 300 * 73)
    monkeypatch.setattr("engine.runs.steps.OLDER_BYTES", 50 * 109)
    recorder = Recorder(tmp_path)
    for step in range(1, 3001):
        loss = {777: 99.0, 1234: -9.0}.get(step, 2.0)
        recorder.add(stepped(step, loss, clipped=step < 1500))
        recorder.write()
    recorder.close()
    history = History()
    for span in open_past(tmp_path).spans():
        history.recall(span)
    assert (history.step, history.strays) == (3000, 0)
    low, high = history.loss.envelope(0, 3000, 30)
    assert (np.nanmax(high), np.nanmin(low)) == (99, -9)
    assert np.nanargmax(high) == pytest.approx(777 / 100, abs=1.5)
    assert np.nanargmin(low) == pytest.approx(1234 / 100, abs=1.5)
    assert np.isfinite(low).all() and np.isfinite(history.smoothed_loss.envelope(0, 3000, 30)).all()
    assert history.last == as_recorded(stepped(3000))


def test_the_lists_of_rarer_events_are_bounded_and_keep_the_best() -> None:
    history = History()
    for step in range(1, 20_000):
        loss = 1.0 if step == 3333 else 2.0 + step % 7
        history.apply([msgspec.structs.replace(evaluated(step), loss=loss)])
        history.apply([Sampled(step=step, text="x")])
    assert len(history.evaluations) <= LISTED and len(history.samples) <= LISTED
    assert min(event.loss for event in history.evaluations) == 1.0
    steps = [event.step for event in history.samples]
    assert steps == sorted(steps) and steps[-1] == 19_999
