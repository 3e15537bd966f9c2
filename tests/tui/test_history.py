import math
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.events import (
    AnyRecorded,
    Averaging,
    Evaluated,
    Intervened,
    NonFinite,
    RolledBack,
    Sampled,
    StateChanged,
    Stepped,
)
from engine.runs import open_past
from tests.recorded import write_old
from tui.history import CLIP_WINDOW, HALF_LIFE, SLACK, History, Series


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
        new = random.normal(size=random.integers(0, 900)).astype(np.float32)
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
    assert history.clip_fraction == 50 / 52
    assert history.last == stepped(52, 1.0)
    assert len(history.smoothed_loss) == len(history.norm_after) == 52


def test_missing_steps_are_gaps():
    history = History()
    history.apply([stepped(1, 3.0), stepped(4, 2.0)])
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
    assert history.clip_fraction == 0.0
    history.apply([stepped(1, clipped=True), stepped(2), stepped(3), stepped(4, clipped=True)])
    assert history.clip_fraction == 0.5
    history.apply([stepped(step) for step in range(5, 5 + CLIP_WINDOW)])
    assert history.clip_fraction == 0.0


def test_a_run_that_went_back_forgets_what_came_after():
    history = History()
    history.apply(
        [
            *[stepped(step) for step in range(1, 9)],
            Averaging(step=8),
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
    for piece in open_past(folder).pieces():
        history.recall(piece)


@pytest.mark.parametrize("far", [10**15, 10**18, 2 * SLACK])
def test_a_damaged_record_does_not_fill_the_memory(tmp_path: Path, far: int):
    history = History()
    recall(history, tmp_path, stepped(1), stepped(2), stepped(far), stepped(3))
    assert (history.step, history.strays) == (3, 1)
    assert losses(history) == [2.0] * 3
    recall(history, tmp_path, evaluated(-1), evaluated(10**18))
    recall(history, tmp_path, RolledBack(step=far, from_step=far, learning_rate=0.1))
    recall(history, tmp_path, RolledBack(step=1, from_step=10**18, learning_rate=0.1))
    assert history.evaluations == [] and history.roll_backs == []
    assert (history.step, history.strays) == (3, 5)


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
    assert np.isfinite(history.loss.envelope(0, 4 * SLACK, 4 * SLACK)[0]).sum() == 3
