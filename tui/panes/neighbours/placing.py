"""Words in a plane of character cells: marks and labels that never cover one another."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

Cell = tuple[int, int]
"""Column and row, from the upper left corner."""
Place = tuple[float, float]
Label = tuple[str, int]
"""A text, and how many columns it takes."""


class Placed(NamedTuple):
    """Some text at a place."""

    x: int
    y: int
    text: str
    point: int
    """The index of the point it belongs to."""
    label: bool


class Window(NamedTuple):
    """What of the plane is seen. It has the same scale along both axes; a cell is twice as high as
    wide."""

    x: float
    """Of the middle."""
    y: float
    unit: float
    """Width of a column."""

    def cell(self, place: Place, width: int, height: int) -> Cell:
        """Where a place lies; it may lie outside."""
        column = (width - 1) / 2 + (place[0] - self.x) / self.unit
        row = (height - 1) / 2 - (place[1] - self.y) / (2 * self.unit)
        return round(column), round(row)


def window_on(places: Sequence[Place], width: int, height: int, margin: int) -> Window:
    """The window that shows all of these, with so many columns free at the right for a label."""
    if not places:
        return Window(0.0, 0.0, 1.0)
    xs, ys = [x for x, _ in places], [y for _, y in places]
    columns, rows = max(1, width - 1 - margin), max(1, height - 1)
    unit = max((max(xs) - min(xs)) / columns, (max(ys) - min(ys)) / (2 * rows), 1e-9)
    middle = (max(xs) + min(xs)) / 2 + unit * min(margin, width - 1) / 2
    return Window(middle, (max(ys) + min(ys)) / 2, unit)


def placed(
    cells: Sequence[Cell],
    marks: Sequence[str],
    labels: Sequence[Label],
    order: Sequence[int],
    width: int,
    height: int,
) -> list[Placed]:
    """What is written where. `order` has the indices of the points, the most important first: of
    points in one cell the first has its mark there, and of labels that would cover another one or a
    mark the later is moved to the left of its mark, or left out."""
    taken = [bytearray(width) for _ in range(height)]
    found, marked = [], []
    for point in order:
        x, y = cells[point]
        if 0 <= x < width and 0 <= y < height and not taken[y][x]:
            taken[y][x] = 1
            marked.append(point)
            found.append(Placed(x, y, marks[point], point, label=False))
    for point in marked:
        x, y = cells[point]
        text, columns = labels[point]
        for first in (x + 2, x - 1 - columns):
            begin, end = min(first, x + 1), max(first + columns, x)
            free = first >= 0 and first + columns <= width and columns > 0
            if free and taken[y].find(1, begin, end + (first > x)) < 0:
                taken[y][begin:end] = b"\x01" * (end - begin)
                found.append(Placed(first, y, text, point, label=True))
                break
    return found


def line(one: Cell, other: Cell) -> Iterator[Cell]:
    """The cells between two, without them."""
    steps = max(abs(other[0] - one[0]), abs(other[1] - one[1]))
    for step in range(1, steps):
        share = step / steps
        yield (
            round(one[0] + share * (other[0] - one[0])),
            round(one[1] + share * (other[1] - one[1])),
        )


def towards(cells: Sequence[Cell], start: int, direction: Cell, among: Sequence[int]) -> int:
    """The point nearest to one in a direction, by their cells; itself where there is none."""
    x, y = cells[start]
    best, distance = start, float("inf")
    for point in among:
        across, down = cells[point][0] - x, 2 * (cells[point][1] - y)
        along = across * direction[0] + down * direction[1]
        aside = abs(across * direction[1]) + abs(down * direction[0])
        if point != start and along > 0 and along + 2 * aside < distance:
            best, distance = point, along + 2 * aside
    return best
