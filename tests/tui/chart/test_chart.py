import math
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from textual.app import App, ComposeResult
from textual.geometry import Region

from tui.chart.data import PALETTE, STYLES, ChartData, Curve, Line, Mark, Points, Rule, XAxis, YAxis
from tui.chart.plot import GUTTER, Picture, draw
from tui.chart.widget import Chart
from tui.numbers import short
from tui.run.series import Series

SIZES = [(10, 3), (1, 1), (0, 0), (5, 2), (30, 5), (78, 9), (150, 40), (20, 4), (21, 3), (200, 60)]


def chart(*curves, steps=None, **others) -> ChartData:
    """A chart of plain lists of numbers."""
    made = tuple(
        curve if isinstance(curve, Curve) else Curve(Series(curve), f"c{index}")
        for index, curve in enumerate(curves)
    )
    longest = max((len(curve.series) for curve in made), default=0)
    return ChartData(title="t", x=XAxis(*(steps or (0, max(longest, 1)))), curves=made, **others)


def plot_of(data: ChartData, width: int, height: int) -> list[str]:
    """The lines between the axes, without the gutter."""
    return [
        line[GUTTER:].ljust(width - GUTTER) for line in str(draw(data, width, height)).split("\n")
    ][1:-1]


def dots(lines: list[str]) -> np.ndarray:
    """The Braille dots of lines as a boolean array, rows of dots by columns of dots."""
    height, width = len(lines), len(lines[0])
    bits = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
    on = np.zeros((4 * height, 2 * width), bool)
    for y, line in enumerate(lines):
        for x, character in enumerate(line):
            code = ord(character) - 0x2800
            if 0 <= code < 256:
                for row in range(4):
                    for column in range(2):
                        on[4 * y + row, 2 * x + column] = bool(code & bits[row][column])
    return on


# --- pictures -----------------------------------------------------------------------------------


def golden(picture: Picture) -> str:
    return "\n" + str(picture) + "\n"


def test_a_falling_curve():
    data = chart(np.linspace(8, 2, 41), steps=(0, 40))
    assert golden(draw(data, 40, 8)) == GOLDEN_FALLING


def test_everything_at_once():
    random = np.random.default_rng(3)
    before = np.exp(random.normal(-1, 0.8, 300))
    data = ChartData(
        title="gradient norm",
        x=XAxis(0, 400),
        curves=(
            Curve(Series(before), "before"),
            Curve(Series(np.minimum(before, 0.25)), "after", "secondary", "stippled"),
        ),
        points=(Points([100, 200], [0.5, 2.0], "validation"),),
        marks=(Mark(150, "lr 10"),),
        rule=Rule(0.25, "threshold"),
        y=YAxis(log=True),
    )
    assert golden(draw(data, 76, 12)) == GOLDEN_EVERYTHING


def test_nothing_to_draw_shows_the_sentence():
    text = str(draw(chart([], empty="Losses show here: press space to start."), 24, 6))
    assert " ".join(text.split()) == "Losses show here: press space to start."
    assert "│" not in text
    gaps_only = chart([math.nan, math.nan], empty="nothing", rule=Rule(1, "r"))
    assert str(draw(gaps_only, 24, 6)).strip() == "nothing"


# --- curves -------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [30, 300, 30_000])
def test_a_curve_is_an_unbroken_line(length):
    wave = np.sin(np.linspace(0, 20, length))
    on = dots(plot_of(chart(wave), 60, 16))
    columns = np.flatnonzero(on.any(axis=0))
    assert columns[-1] - columns[0] == len(columns) - 1, "a column is missing"
    for column in columns[1:]:
        here, before = np.flatnonzero(on[:, column]), np.flatnonzero(on[:, column - 1])
        assert here[-1] - here[0] == len(here) - 1, "a column has a hole"
        assert here[0] <= before[-1] + 1
        assert before[0] <= here[-1] + 1


@pytest.mark.parametrize("length", [500, 50_000])
def test_a_single_spike_reaches_the_top_and_the_bottom(length):
    values = np.full(length, 5.0)
    values[length // 3], values[length // 2] = 10.0, 0.0
    on = dots(plot_of(chart(values), 60, 16))
    assert on[0].any()
    assert on[-1].any()
    tip = np.flatnonzero(on[0])[0]
    assert tip == pytest.approx(on.shape[1] / 3, abs=2)


def test_a_gap_stays_empty():
    values = np.full(1000, 3.0)
    values[400:600] = math.nan
    on = dots(plot_of(chart(values), 60, 10))
    filled = on.any(axis=0)
    width = len(filled)
    assert not filled[int(0.42 * width) : int(0.58 * width)].any()
    assert filled[: int(0.38 * width)].all()
    assert filled[int(0.62 * width) :].all()


def test_a_lone_value_between_gaps_is_drawn_in_either_pattern():
    for index in range(9):
        values = [math.nan] * 10
        values[index] = 1.0
        for pattern in ("solid", "stippled"):
            data = chart(Curve(Series(values), "lone", pattern=pattern))
            assert dots(plot_of(data, 60, 10)).sum() == 1


def test_curves_differ_without_colour():
    first = dots(plot_of(chart(Curve(Series([1.0] * 50), "a")), 60, 10))
    second = dots(plot_of(chart(Curve(Series([1.0] * 50), "b", pattern="stippled")), 60, 10))
    assert second.sum() == pytest.approx(first.sum() / 2, abs=1)
    legend = str(
        draw(chart(Curve(Series([1.0]), "a"), Curve(Series([2.0]), "b", pattern="stippled")), 60, 8)
    ).split("\n")[0]
    samples = re.findall("[⠀-⣿]{2}", legend)
    assert len(set(samples)) == 2


def test_where_curves_coincide_the_first_shows():
    values = np.linspace(1, 2, 200)
    after = values.copy()
    after[100:] = 1.0
    data = chart(Curve(Series(values), "a"), Curve(Series(after), "b", "secondary"))
    picture = draw(data, 60, 12)
    secondary = (picture.styles == STYLES.index("secondary")) & (picture.codes > 0x2800)
    columns = np.flatnonzero(secondary[1:-1].any(axis=0)) - GUTTER
    assert columns.min() == pytest.approx(53 / 2, abs=1)


def test_the_picture_does_not_change_where_nothing_happened():
    """New steps on the same axis leave the columns before them alone."""
    values = np.linspace(8, 2, 10_000)
    before = draw(chart(values[:5000], steps=(0, 10_000)), 60, 12)
    after = draw(chart(np.append(values[:5000], [values[4999]] * 500), steps=(0, 10_000)), 60, 12)
    changed = np.flatnonzero(after.changed(before).any(axis=0))
    assert changed.min() >= GUTTER + 53 // 2 - 1


# --- axes ---------------------------------------------------------------------------------------


def test_a_log_axis_puts_equal_ratios_at_equal_distances():
    data = chart([1.0, 10.0, 100.0, 1000.0], y=YAxis(log=True))
    on = dots(plot_of(data, 60, 30))
    rows = [np.flatnonzero(on[:, column])[0] for column in np.flatnonzero(on.any(axis=0))]
    slopes = np.diff(rows)
    assert set(slopes.tolist()) <= {-1, -2, 0}
    assert abs(rows[-1] - rows[0]) > 90


def test_a_log_axis_drops_what_has_no_logarithm():
    data = chart([1.0, 0.0, -5.0, 1.0, 100.0], y=YAxis(log=True))
    picture = str(draw(data, 60, 16))
    assert "100┤" in picture
    assert "-5" not in picture
    on = dots(plot_of(data, 60, 16))
    assert not on[:, 53 // 2 : 53].any(), "between the first and the fourth step is a gap"
    assert str(draw(chart([0.0, -1.0], y=YAxis(log=True), empty="none"), 30, 8)).strip() == "none"


def y_labels(picture: str) -> list[str]:
    lines = picture.split("\n")[1:-1]
    return [line[: GUTTER - 1].strip() for line in lines if line[: GUTTER - 1].strip()]


@pytest.mark.parametrize(
    ("low", "high", "log", "labels"),
    [
        (2.0, 8.0, False, ["8", "6", "4", "2"]),
        (4.61, 4.69, False, ["4.70", "4.65", "4.60"]),
        (0.0, 30_000.0, False, ["30k", "20k", "10k", "0"]),
        (0.0, 0.0004, False, ["4e-4", "3e-4", "2e-4", "1e-4", "0"]),
        (0.01, 100.0, True, ["100", "10", "1", "0.1", "0.01"]),
        (0.2, 3.0, True, ["2", "1", "0.5", "0.2"]),
        (1e-12, 1e12, True, ["10G", "100k", "1", "1e-5", "1e-10"]),
    ],
)
def test_labels_of_the_y_axis_are_round(low, high, log, labels):
    assert y_labels(str(draw(chart([low, high], y=YAxis(log=log)), 60, 14))) == labels


def test_steps_on_the_x_axis_are_round():
    last = str(draw(chart([1.0] * 1500, steps=(0, 2000)), 78, 8)).split("\n")[-1]
    assert last.split() == ["step", "╵0", "╵500", "╵1k", "╵1.5k", "2k╵"]


@settings(deadline=None, max_examples=60)
@example(-0.0007022224849098543, 1.0, 1, 21, 4, False)
@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-9, 1e6),
    st.integers(1, 10**9),
    st.integers(10, 160),
    st.integers(3, 45),
    st.booleans(),
)
def test_labels_never_overlap(low, extent, last_step, width, height, log):
    series = Series([low, low + extent])
    data = ChartData("t", XAxis(0, last_step), (Curve(series, "c"),), y=YAxis(log=log), empty="-")
    lines = str(draw(data, width, height)).split("\n")
    ticks = re.findall(r"╵[\d.]+[kMG]?|[\d.]+[kMG]?╵", lines[-1])
    assert "".join(ticks) == re.sub(r"step|\s", "", lines[-1]) or lines[-1].strip() == "-"
    numbers = [float(tick.strip("╵").translate({107: "e3", 77: "e6", 71: "e9"})) for tick in ticks]
    assert numbers == sorted(set(numbers))
    labels = y_labels("\n".join(lines)) if width >= 3 * GUTTER and height >= 4 else []
    assert len(labels) == len(set(labels)) or lines[-1].strip() == "-"
    assert not labels or all(line[GUTTER - 1] in "│┤" for line in lines[1:-1])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.25, "0.25"),
        (20.0, "20"),
        (1500, "1.5k"),
        (20_000_000, "20M"),
        (0.00003, "3e-5"),
        (-2.5, "-2.5"),
        (1e300, "1e300"),
        (math.inf, "inf"),
    ],
)
def test_short_numbers(value, text):
    assert short(value) == text


# --- points, marks, rule ------------------------------------------------------------------------


def test_points_stand_over_the_curve():
    data = chart([1.0] * 100, points=(Points([50, 500], [1.0, 1.0], "validation"),))
    lines = str(draw(data, 60, 12)).split("\n")
    assert "◆ validation" in lines[0]
    found = [line.index("◆") for line in lines[1:] if "◆" in line]
    assert found == [pytest.approx(GUTTER + 53 / 2, abs=1)], "the one beyond the axis is not drawn"


def test_points_alone_make_a_chart():
    data = chart([], steps=(0, 10), points=(Points([5], [2.0], "validation"),))
    assert "◆" in "".join(plot_of(data, 60, 12))


def test_marks_are_columns_with_labels_that_never_overlap():
    marks = tuple(Mark(step, f"lr {step}") for step in (100, 101, 102, 500, 530, 990))
    lines = plot_of(chart(np.linspace(9, 1, 1000), marks=marks), 78, 12)
    top = lines[0]
    labels = re.findall(r"lr \d+", top)
    assert "lr 990" in labels
    assert "lr 530" in labels, "of close ones the newest has its label"
    assert set(labels) <= {mark.label for mark in marks}, "no label is cut"
    marked = {x for line in lines for x, character in enumerate(line) if character == "┊"}
    assert len(marked) == 4, "three of them share a column"


def test_many_marks_thin_out_to_those_with_a_label_and_ticks():
    marks = tuple(Mark(step, f"lr {step}") for step in range(10, 1000, 20))
    lines = plot_of(chart(np.linspace(9, 1, 1000), marks=marks), 108, 12)
    columns = {x for x, character in enumerate(lines[0]) if character == "┊"}
    assert len(columns) == len(re.findall(r"lr \d+", lines[0])) < 15
    for line in lines[:-1]:
        assert {x for x, character in enumerate(line) if character == "┊"} <= columns
    assert lines[-1].count("┊") > 35, "every one has its tick"


def marked(*marks: Mark, width: int = 80) -> str:
    """The first row of the plot, where the labels stand."""
    return str(draw(chart([5.0] * 1000, marks=marks), width, 12)).split("\n")[1]


def test_what_was_turned_at_one_moment_is_labelled_together():
    assert "┊lr 10, clip 0.4" in marked(
        Mark(500, "lr 20", "rate"), Mark(500, "lr 10", "rate"), Mark(500, "clip 0.4", "clip")
    ), "of two words on one knob the last counts"
    assert "┊clip 0.4, lr 10" in marked(
        Mark(500, "lr 20", "rate"), Mark(500, "clip 0.4", "clip"), Mark(501, "lr 10", "rate")
    )
    assert "lr 10, clip" not in marked(Mark(400, "lr 10", "rate"), Mark(600, "clip 0.4", "clip")), (
        "marks that stand apart keep their own"
    )


def test_labels_that_find_no_room_together_give_way_to_the_newest():
    first = marked(Mark(990, "x" * 75, "a"), Mark(990, "lr 10", "b"))
    assert "lr 10┊" in first and "xx" not in first


def test_a_rule_that_moved_is_drawn_where_it_was():
    past = Series([1.0] * 500 + [math.nan] * 200 + [3.0] * 100)
    data = chart([0.5] * 1000, rule=Rule(4.0, "threshold", past))
    lines = str(draw(data, 107, 16)).split("\n")[1:-1]
    rows = {
        column: row
        for row, line in enumerate(lines)
        for column, character in enumerate(line[GUTTER:])
        if character == "╌"
    }
    assert len({rows[column] for column in range(50)}) == 1
    assert not any(column in rows for column in range(51, 69)), "no threshold, no line"
    assert rows[0] > rows[75] > rows[90], "1, then 3, and 4 from here on"
    assert lines[rows[90]].startswith("     4")


def test_the_rule_is_always_within_the_chart_and_names_its_value():
    lines = str(draw(chart([5.0, 6.0], rule=Rule(0.25, "threshold")), 60, 12)).split("\n")
    ruled = [line for line in lines[1:] if "╌╌╌" in line]
    assert len(ruled) == 1
    assert ruled[0].startswith("  0.25")
    assert "╌╌ threshold 0.25" in lines[0]
    log = str(draw(chart([5.0], rule=Rule(0.0, "r"), y=YAxis(log=True)), 60, 12))
    assert "╌╌╌" not in log, "zero has no place on a log axis"


def test_a_rule_above_everything_leaves_the_top_row_to_the_labels():
    data = chart([1.0] * 100, rule=Rule(9.0, "threshold"), marks=(Mark(50, "clip 9"),))
    lines = plot_of(data, 60, 9)
    assert "clip 9" in lines[0]
    assert "╌" not in lines[0]
    assert "╌" in lines[1]


# --- axes of any quantity -------------------------------------------------------------------------


def test_a_log_x_axis_puts_equal_ratios_at_equal_distances():
    rates = [1e-3, 1e-2, 1e-1]
    data = ChartData("t", XAxis(1e-3, 1e-1, "rate", log=True), points=(Points(rates, rates, "p"),))
    lines = str(draw(data, 78, 12)).split("\n")
    places = sorted(line.index("◆") for line in lines[1:] if "◆" in line)
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=1)
    assert lines[-1].split()[0] == "rate" and "0.01" in lines[-1]


def test_an_axis_of_fractions_has_fractions_beside_it():
    data = ChartData("t", XAxis(0, 2, "epoch"), (Line([0.0, 2.0], [1.0, 2.0], "c"),))
    assert "╵0.5" in str(draw(data, 78, 8)).split("\n")[-1]


def test_no_label_of_a_mark_covers_how_high_a_curve_reaches():
    losses = [4.13] * 3 + [2.0] * 97
    marks = (Mark(40, "lr 0.0063"), Mark(43, "clip 0.4"))
    first = plot_of(chart(losses, marks=marks, y=YAxis(robust=True)), 40, 9)[0]
    assert first.startswith("↑4.13 ") and "clip 0.4" in first


def ticks(data: ChartData, width: int) -> dict[str, int]:
    """What is written below the chart, with the column that each stands at."""
    axis = str(draw(data, width, 8)).split("\n")[-1]
    return {found[1]: found.start() - GUTTER for found in re.finditer(r"╵([\d.k]+)", axis)}


def passing(*paces: float, each: int = 500) -> Series:
    """What had passed at each step, at one pace after the other."""
    return Series(np.cumsum(np.repeat(paces, each)))


def test_steps_stand_where_so_much_had_passed():
    slow_first = passing(0.2, 0.05)
    falling = Curve(Series(np.linspace(9, 1, 1000)), "c", passed=slow_first)
    data = ChartData("t", XAxis(0, 125, "seconds"), (falling,))
    found = ticks(data, 100 + GUTTER)
    assert found["0"] == 0 and found["60"] == pytest.approx(48, abs=1)
    assert str(draw(data, 100, 8)).split("\n")[-1].startswith("seconds")
    on = dots(plot_of(data, 100 + GUTTER, 20))
    half = np.flatnonzero(on[len(on) // 2 :].any(axis=0))[0]
    assert half == pytest.approx(160, abs=4), "500 steps, half of the way down, took 100 of 125"


@pytest.mark.parametrize("width", [40, 101, 160])
@given(st.data())
@settings(max_examples=25, deadline=None)
def test_no_spike_is_lost_however_the_steps_are_placed(width: int, data):
    paces = data.draw(st.lists(st.floats(1e-3, 10), min_size=1, max_size=4))
    passed = passing(*paces, each=data.draw(st.integers(5, 3000)))
    spike = data.draw(st.integers(0, len(passed) - 1))
    losses = np.ones(len(passed))
    losses[spike] = 7.0
    total = (
        float(passed.values()[-1]) if len(passed) <= 4096 else float(passed.after([len(passed)])[0])
    )
    curve = Curve(Series(losses), "c", passed=passed)
    on = dots(plot_of(ChartData("t", XAxis(0, total, "seconds"), (curve,)), width, 12))
    assert on[0].any() or on[1].any()


def test_nothing_is_drawn_of_a_run_before_anything_has_passed_or_behind_it():
    unknown = Curve(Series([2.0] * 100), "c", passed=Series([math.nan] * 100))
    assert "none yet" in str(
        draw(ChartData("t", XAxis(0, 9, "epoch"), (unknown,), empty="none yet"), 80, 8)
    )
    short = Curve(Series([2.0] * 100), "c", passed=passing(0.01, each=100))
    later = ChartData(
        "t", XAxis(5, 9, "epoch"), (short, Curve(Series(), "d", passed=Series())), empty="none yet"
    )
    assert "none yet" in str(draw(later, 80, 8))


def test_a_rule_moves_where_it_was_moved_by_any_quantity():
    past = Series([1.0] * 500 + [3.0] * 500)
    curve = Curve(Series(np.linspace(1, 3, 1000)), "c", passed=passing(0.2, 0.05))
    rule = Rule(3.0, "r", past, passing(0.2, 0.05))
    lines = plot_of(ChartData("t", XAxis(0, 125, "seconds"), (curve,), rule=rule), 100 + GUTTER, 12)
    above, below = (line for line in lines if "╌" in line)
    assert above.index("╌") == pytest.approx(80, abs=1) and 70 < below.rindex("╌") < 80


# --- curves beside others -----------------------------------------------------------------------


def beside(values, name: str) -> Curve:
    return Curve(Series(values), name, style=None, beside=True)


def test_what_stands_beside_is_named_in_a_row_of_its_own():
    own = Curve(Series(np.linspace(4, 1, 100)), "smoothed")
    data = ChartData(
        "loss", XAxis(0, 100), (own, beside([2.0] * 100, "one"), beside([3.0] * 100, "two")),
        notes=("three: other text",), y=YAxis(robust=True),
    )  # fmt: skip
    title, legend, *_ = str(draw(data, 80, 12)).split("\n")
    assert title == "loss  ⣤⣤ smoothed"
    assert legend == "●⣤⣤ one  ■⣤⣤ two  ✗ three: other text"
    low = str(draw(data, 80, 6)).split("\n")
    assert low[0] == "loss  ●⣤⣤ one  ■⣤⣤ two  ✗ three: other text  ⣤⣤ smoothed"
    assert all(
        "●" in "".join(lines[1:]) and "■" in "".join(lines[1:]) for lines in (low, [title, *_])
    )


@pytest.mark.parametrize(("level", "seen"), [(1.1, True), (1.9, True), (5.0, False), (1e6, False)])
def test_a_curve_far_above_does_not_flatten_what_it_is_compared_with(level: float, seen: bool):
    learns = 1 + np.exp(-np.arange(400) / 40)
    own = Curve(Series(learns), "smoothed")
    explodes = beside(np.geomspace(1.5, level, 400), "off")
    data = ChartData("t", XAxis(0, 400), (explodes, own), y=YAxis(robust=True))
    lines = plot_of(data, 100, 14)[1:]
    assert ("●" in "".join(line[60:] for line in lines)) is seen
    assert seen or "↑" in lines[0]
    rows = dots(lines).any(axis=1).sum()
    assert rows > len(lines), "the run that is compared has much of the height"


def test_a_line_goes_through_its_points_and_breaks_where_one_is_no_number():
    line = Line([0.0, 1.0, 2.0, 3.0, 4.0], [1.0, 1.0, math.nan, 1.0, 1.0], "c", "primary")
    on = dots(plot_of(ChartData("t", XAxis(0, 4), (line,)), 60, 12)).any(axis=0)
    assert on[0] and on[20] and on[-1] and not on[35:70].any()


def test_many_points_in_a_column_are_drawn_from_the_least_to_the_greatest():
    values = np.tile([0.0, 9.0], 5000)
    data = ChartData("t", XAxis(0, 10_000), (Line(list(range(10_000)), values.tolist(), "c"),))
    assert dots(plot_of(data, 60, 12)).mean() > 0.9


def test_series_of_the_palette_differ_in_colour_and_without_it():
    lines = tuple(Line([0.0, 1.0], [float(k), float(k)], f"run {k}") for k in range(len(PALETTE)))
    picture = draw(ChartData("t", XAxis(0, 1), lines), 120, 40)
    glyphs = [set(line) - set(" │┤╵.") for line in str(picture).split("\n")[1:-1]]
    found = {glyph for row in glyphs for glyph in row if glyph in "●■▲◆✚✖★▼"}
    assert len(found) == len(PALETTE)
    assert {STYLES.index(style) for style in PALETTE} <= set(picture.styles.ravel().tolist())


def padded(picture: str) -> list[str]:
    return [line[GUTTER:].ljust(80) for line in picture.split("\n")[1:-1]]


def test_the_first_steps_do_not_squeeze_the_later_ones():
    values = np.concatenate([np.linspace(9, 2, 30), 1.5 + 0.2 * np.sin(np.arange(970))])
    robust, full = (draw(chart(values, y=YAxis(robust=robust)), 80, 16) for robust in (True, False))
    rows = [
        np.count_nonzero(dots(padded(str(picture)))[:, 40:].any(axis=1))
        for picture in (robust, full)
    ]
    assert rows[0] > 2 * rows[1]
    assert "↑9" in str(robust) and "↑" not in str(full)


def test_a_steady_curve_is_whole_in_a_robust_range():
    values = np.linspace(3, 1, 1000)
    assert str(draw(chart(values, y=YAxis(robust=True)), 80, 16)) == str(
        draw(chart(values), 80, 16)
    )


# --- any input, any size ------------------------------------------------------------------------

any_float = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from(
    [0.0, -0.0, 5e-324, 1e-45, 1e300, -1e300, 3.4e38, -3.4e38, math.nan, math.inf]
)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(any_float, max_size=60),
    st.lists(any_float, max_size=5),
    any_float,
    st.booleans(),
    st.sampled_from(SIZES),
    st.integers(0, 100),
    st.integers(0, 200),
)
def test_no_number_and_no_size_breaks_it(values, points, rule, log, size, first, span):
    data = ChartData(
        title="t",
        x=XAxis(first, first + span),
        curves=(Curve(Series(values), "a"), Curve(Series(values[::-1]), "b", "raw", "stippled")),
        points=(Points(range(len(points)), points, "p"),),
        marks=(Mark(3, "m"), Mark(first + span, "a rather long label")),
        rule=Rule(rule, "r"),
        y=YAxis(log=log),
        empty="Nothing to show here yet.",
    )
    picture = draw(data, *size)
    assert (picture.width, picture.height) == size
    runs = list(picture.rows(range(picture.height)))
    assert all(sum(len(text) for text, _ in row) == size[0] for row in runs)


# --- the widget ---------------------------------------------------------------------------------


class ChartApp(App[None]):
    CSS = "Chart { width: 60; height: 12; }"

    def compose(self) -> ComposeResult:
        yield Chart()


def shown(chart: Chart) -> str:
    strips = chart.render_lines(Region(0, 0, *chart.size))
    return "\n".join(strip.text.rstrip() for strip in strips)


async def test_the_widget_shows_the_picture():
    app = ChartApp()
    async with app.run_test(size=(80, 20)) as pilot:
        widget = app.query_one(Chart)
        assert shown(widget).strip() == ""
        data = chart([5.0, 3.0, 2.0])
        widget.show(data)
        await pilot.pause()
        assert shown(widget) == str(draw(data, 60, 12))
        widget.styles.width = 40
        await pilot.pause()
        assert shown(widget) == str(draw(data, 40, 12))


async def test_an_equal_picture_is_not_repainted_and_a_changed_one_only_where_it_changed(
    monkeypatch,
):
    app = ChartApp()
    async with app.run_test(size=(80, 20)) as pilot:
        widget = app.query_one(Chart)
        values = np.full(100, 3.0)
        widget.show(chart(values, [1.0], [9.0], steps=(0, 200)))
        await pilot.pause()
        before = shown(widget)
        refreshed: list[Region] = []
        monkeypatch.setattr(
            widget, "refresh", lambda *regions, **_: refreshed.extend(regions or [None])
        )
        widget.show(chart(values.copy(), [1.0], [9.0], steps=(0, 200)))
        assert refreshed == []

        data = chart(np.append(values, [3.0] * 20), [1.0], [9.0], steps=(0, 200))
        widget.show(data)
        assert len(refreshed) == 1
        assert refreshed[0].height == 1
        assert refreshed[0].x >= GUTTER + 24
        monkeypatch.undo()
        widget.refresh(*refreshed)
        await pilot.pause()
        assert shown(widget) == str(draw(data, 60, 12)) != before


async def test_another_theme_gives_other_colours():
    app = ChartApp()
    async with app.run_test(size=(80, 20)) as pilot:
        widget = app.query_one(Chart)
        widget.show(chart([5.0, 3.0, 2.0]))
        await pilot.pause()
        colours = []
        for theme in ("textual-dark", "textual-light"):
            app.theme = theme
            await pilot.pause()
            line = widget.render_lines(Region(0, 0, *widget.size))[0]
            colours.append({segment.style.color for segment in line if segment.style})
            grounds = {segment.style.bgcolor for segment in line if segment.style}
            assert None not in grounds
        assert not colours[0] & colours[1]


GOLDEN_FALLING = """
t  ⣤⣤ c0
     8┤ ⠑⠒⠤⢄⣀
      │      ⠉⠑⠒⠤⢄⣀
      │            ⠉⠒⠢⠤⣀
      │                 ⠉⠑⠒⠤⢄⣀
      │                       ⠉⠑⠒⠤⢄⡀
     2┤                            ⠈⠉⠒⠢⠤
  step ╵0              ╵20           40╵
"""
GOLDEN_EVERYTHING = """
gradient norm, log  ⣤⣤ before  ⡢⡢ after  ◆ validation  ╌╌ threshold 0.25
      │ ⢰                        ┊lr 10
     3┤ ⢸                ⢠     ⢠ ┊               ⢀⢀
      │⡆⢸ ⢀⢰       ⢀⢀    ⢸  ⢸⡄ ⢸ ┊ ⢠ ⡀⡇⢀ ◆      ⢠⢸⢸⢠  ⢰  ⢠
     1┤⡇⢸ ⣸⢸⣄⢠ ⣧  ⢠⢸⣿⡄⡇⢰⢀⢸⡇⣦⢸⣿⡇⢸⢀┊⢀⣸⡠⡇⣇⢸⡄⣼ ⡄ ⢰  ⢸⢸⢸⢸⢠⣆⣾⢰⣾⢸⡄
      │⣧⢸⢰⣿⣾⣿⣿⡇⣿⣆⡇⣿⣼⣿⢱⡇⣾◆⣸⡇⣿⣿⣿⣷⣾⢸⣄⢸⣿⡇⣿⢸⣿⣇⣿⣸⣧ ⢸⣰⢰⣿⣸⣾⣾⢸⣿⣿⢸⣿⣸⡇
  0.25┤⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢀⢣╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌
      │⠅⠕⠑  ⠁⢕⠐⠐⠈⢕⢕⢐⢕⠈⢑⢕ ⠁⠅⢕⠁⠐⠁⠁⡇⢐⠁⢐   ⠈⢑ ⢕⠐⠐⢕⠐⢕⠅⠅ ⢐⠁  ⢐⠁⠕⢸
   0.1┤⠅⠅    ⠕   ⠕⢕ ⠐ ⠈⠐  ⠅⠅    ⠁⠐ ⢐      ⠑  ⢕ ⠅       ⠐ ⠁⢸
      │⠅     ⠅   ⠅⠁       ⠁⠁     ┊ ⠈         ⠁            ⠘
  0.03┤      ⠁                   ┊
  step ╵0               ╵100             ╵200             ╵300          400╵
"""


def test_a_level_is_drawn_only_where_it_lies_within_the_chart() -> None:
    line = Line([1.0, 10.0], [1.0, 3.0], "loss")
    levels = (Rule(2.0, "unigram"), Rule(9.0, "uniform"))
    plain = ChartData("t", XAxis(1, 10), curves=(line,))
    before, now = (str(draw(each, 60, 12)) for each in (plain, replace(plain, levels=levels)))
    assert "unigram 2" in now and "┈" in now
    assert "uniform" not in now
    labels = [[row[:7] for row in text.split("\n")] for text in (before, now)]
    assert labels[0] == labels[1], "the scale is that of the curves"
