"""The drawing of a map: what is on it lies beside each other."""

import xml.etree.ElementTree as ET
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.messages import MapPoint, WordMap
from tui.commands.svg_map import labels, places, svg

NUMBERS = st.floats(-5, 5, width=32)
POINTS = st.lists(
    st.builds(
        MapPoint,
        st.text(min_size=1, max_size=12),
        NUMBERS,
        NUMBERS,
        st.just(1),
        st.sampled_from(["", "day", "food"]),
    ),
    min_size=2,
    max_size=60,
)
_TEXT = "{http://www.w3.org/2000/svg}text"


def meet(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@settings(deadline=None)
@given(POINTS)
def test_labels_meet_neither_each_other_nor_a_point_nor_the_edge(points: list[MapPoint]) -> None:
    at = places(points)
    found = labels(points, at)
    for one, other in combinations(found, 2):
        assert not meet(one.box, other.box)
    for label in found:
        assert not any(meet(label.box, (x - 3, y - 3, x + 3, y + 3)) for x, y in at)
        assert label.box[0] >= 0 and label.box[2] <= 1000
        assert label.box[1] >= 0 and label.box[3] <= 700
    assert all(0 <= x <= 1000 and 0 <= y <= 700 for x, y in at)


@settings(deadline=None)
@given(POINTS)
def test_whatever_the_words_the_drawing_is_sound(points: list[MapPoint]) -> None:
    found = WordMap(points=points, method="pca", explained=(0.5, 0.2), unknown=[], table="tied",
                    transformation="raw", components=0, step=7)  # fmt: skip
    drawing = ET.fromstring("\n".join(svg(found, "<a> & b")))
    written = [element.text for element in drawing.iter(_TEXT)]
    groups = {point.group for point in points if point.group}
    assert len(written) == len(labels(points, places(points))) + len(groups)


def test_one_scale_serves_both_axes() -> None:
    corners = [MapPoint("a", 0, 0), MapPoint("b", 10, 0), MapPoint("c", 0, 1)]
    (ax, ay), (bx, by), (cx, cy) = places(corners)
    assert (ay, ax) == (by, cx)
    assert abs((bx - ax) - 10 * (ay - cy)) < 1e-9
