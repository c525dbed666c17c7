"""A table of short cells side by side, for answers that must not wait.

Rich's own measures and pads each cell several times: 20 ms for a plan of all
formats, a tenth of the whole answer. Where the columns fit beside each other
nothing is to be decided, and lines of text are enough.
"""

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

Cell = str | Text
_GAPS = ("  ", " ")  # between columns, where there is room for it


class Columns:
    """Rows of one line each, that look as ``plain_table`` has them."""

    def __init__(self, left: tuple[str, ...], right: tuple[str, ...], last: str) -> None:
        """Headings: of columns that begin at the left, of those that end at the right, of the last one."""
        self._headings = (*left, *right, last)
        self._right = range(len(left), len(left) + len(right))
        self._rows: list[tuple[tuple[Cell, ...], str]] = []

    def add_row(self, *cells: Cell, style: str = "") -> None:
        self._rows.append((cells, style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lines; where they are too long for the screen, the table that knows how to fold cells."""
        rows = [(self._headings, "bold"), *self._rows]
        widths = [max(map(_width, column)) for column in zip(*(cells for cells, _ in rows), strict=True)]
        left = options.max_width - sum(widths)
        gap = next((one for one in _GAPS if len(one) * (len(widths) - 1) <= left), None)
        if gap is None:
            yield self._folded()
            return
        lines = (self._line(cells, widths, gap, style) for cells, style in rows)
        yield Text("\n", no_wrap=True, overflow="ignore").join(lines)

    def _line(self, cells: tuple[Cell, ...], widths: list[int], gap: str, style: str) -> Text:
        line = Text(style=style)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            space = " " * (width - _width(cell))
            before, after = (space, "") if column in self._right else ("", space)
            line.append(f"{gap if column else ''}{before}")
            line.append(cell)
            line.append(after)
        return line

    def _folded(self) -> RenderableType:
        from fitcheck.render.plain import plain_table  # noqa: PLC0415 (slow, and seldom needed)

        table = plain_table()
        for column, heading in enumerate(self._headings):
            table.add_column(heading, justify="right" if column in self._right else "left")
        for cells, style in self._rows:
            table.add_row(*cells, style=style)
        return table


def _width(cell: Cell) -> int:
    return cell_len(cell if isinstance(cell, str) else cell.plain)
