"""Draw a curve with its band in characters. Pure: values in, styled runs of text out.

Own drawing and no plotting library: the ones for Textual (textual-plotext,
textual-plot) can't fill between two curves, which is what an interval needs,
and each brings a second package that takes longer to import than the whole app.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import floor, log10
from typing import Literal, NamedTuple

from fitcheck.units import rate, tokens

Kind = Literal["blank", "axis", "band", "line", "asked", "measured"]

LABEL_WIDTH = 7  # of the y axis: six characters and the axis itself
AXIS_HEIGHT = 2  # the x axis and its labels

# A braille cell has two columns of four dots; these are the dots' bits.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BRAILLE = 0x2800

_LABELLED = 24  # columns that three labels under the axis need

Dots = dict[tuple[int, int], int]
"""The dots that are set in each cell that has any."""


class Point(NamedTuple):
    """Tokens/s with ``depth`` tokens in the cache."""

    depth: int
    low: float
    expected: float
    high: float


class Mark(NamedTuple):
    """A measured speed."""

    depth: int
    value: float


class Run(NamedTuple):
    """Characters of one kind, side by side."""

    text: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Plot:
    points: Sequence[Point]  # by rising depth, two at least
    asked: int  # the context that was asked for
    marks: Sequence[Mark] = ()

    def lines(self, width: int, height: int) -> list[list[Run]]:
        """The plot as ``height`` lines of ``width`` characters, axes and labels included."""
        canvas = _Canvas(self, width - LABEL_WIDTH, height - AXIS_HEIGHT)
        return [*canvas.rows(), *canvas.x_axis()]

    @property
    def top(self) -> float:
        """The end of the y axis: the highest value, rounded up to 1, 2, 3, 4, 5, 6, 8 or 10 of its decade."""
        highest = max(*(point.high for point in self.points), *(mark.value for mark in self.marks), 1e-9)
        decade = 10.0 ** floor(log10(highest))
        return next(step * decade for step in (1, 2, 3, 4, 5, 6, 8, 10) if step * decade >= highest * 0.999)

    @property
    def last(self) -> int:
        return max(self.points[-1].depth, 1)

    def at(self, depth: float) -> Point:
        """The band at any depth, straight between the points."""
        for left, right in zip(self.points, self.points[1:], strict=False):
            if depth <= right.depth:
                share = (depth - left.depth) / (right.depth - left.depth)
                low, expected, high = (a + share * (b - a) for a, b in zip(left[1:], right[1:], strict=True))
                return Point(int(depth), low, expected, high)
        return self.points[-1]


class _Canvas:
    """The inside of a plot, ``width`` × ``height`` cells of 2 × 4 dots each."""

    def __init__(self, plot: Plot, width: int, height: int) -> None:
        self.plot, self.width, self.height = plot, max(width, 2), max(height, 1)
        self.columns = [plot.at(self._depth((x + 0.5) / 2)) for x in range(2 * self.width)]
        self.line, self.band = self._line(), self._band()
        self.asked = self._column(plot.asked) if plot.asked <= plot.last else None
        self.marks = {(self._column(m.depth), self._row(m.value)) for m in plot.marks}

    def rows(self) -> list[list[Run]]:
        labels = {0: self.plot.top, self.height // 2: self.plot.top / 2}
        return [
            [Run(f"{rate(labels[y]) if y in labels else '':>{LABEL_WIDTH - 2}} │", "axis"), *self._runs(y)]
            for y in range(self.height)
        ]

    def x_axis(self) -> list[list[Run]]:
        left = " " * (LABEL_WIDTH - 1)
        half, full = tokens(round(self.plot.last / 512) * 256), tokens(self.plot.last)
        words = f"{'0':<{self.width // 2}}{half}"
        words = f"{words:<{max(self.width - len(full), 0)}}{full}" if self.width >= _LABELLED else "0"
        axis = f"{'0':>{LABEL_WIDTH - 2}} └{'─' * self.width}"
        return [[Run(axis, "axis")], [Run(f"{left} {words:<{self.width}}", "axis")]]

    def _depth(self, x: float) -> float:
        return x / self.width * self.plot.last

    def _column(self, depth: int) -> int:
        return min(self.width - 1, int(depth / self.plot.last * self.width))

    def _row(self, value: float) -> int:
        return min(self.height - 1, int((1 - value / self.plot.top) * self.height))

    def _runs(self, y: int) -> list[Run]:
        cells = [self._cell(x, y) for x in range(self.width)]
        runs = groupby(cells, key=lambda cell: cell[1])
        return [Run("".join(text for text, _ in run), kind) for kind, run in runs]

    def _cell(self, x: int, y: int) -> tuple[str, Kind]:
        if (x, y) in self.marks:
            return "◆", "measured"
        if dots := self.line.get((x, y)):
            return chr(_BRAILLE + dots), "line"
        if x == self.asked:
            return "┊", "asked"
        dots = self.band.get((x, y), 0)
        return (chr(_BRAILLE + dots), "band") if dots else (" ", "blank")

    def _line(self) -> Dots:
        """The expected speed; a steep step is filled from dot to dot."""
        found: Dots = {}
        before = None
        for x, point in enumerate(self.columns):
            now = self._dot_row(point.expected)
            for y in _steps(before, now):
                _set(found, x, y)
            before = now
        return found

    def _band(self) -> Dots:
        """Every other dot between low and high, so that the line stands out in it."""
        found: Dots = {}
        for x, point in enumerate(self.columns):
            for y in range(self._dot_row(point.high), self._dot_row(point.low) + 1):
                if (x + y) % 2:
                    _set(found, x, y)
        return found

    def _dot_row(self, value: float) -> int:
        return min(4 * self.height - 1, max(0, round((1 - value / self.plot.top) * 4 * self.height - 0.5)))


def _set(dots: Dots, x: int, y: int) -> None:
    cell = (x // 2, y // 4)
    dots[cell] = dots.get(cell, 0) | _DOTS[x % 2][y % 4]


def _steps(before: int | None, now: int) -> range:
    """The dots of one column: this one, and those passed on the way from the last."""
    if before is None or before == now:
        return range(now, now + 1)
    return range(before + 1, now + 1) if before < now else range(now, before)
