"""RowTable: rows under fixed headings, drawn a line at a time.

Textual's DataTable takes 70 ms to repaint fifty rows here, more than four
frames; a person who holds a key down would see it. This one draws what is
visible, one strip a row, in about a millisecond, and drops the columns that
matter least where the terminal is narrow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

Tone = Literal["plain", "yes", "tight", "no", "dim", "best"]
_GAP = 2
_GUTTER = 2  # where the cursor's sign stands: colour alone would not show it everywhere


class Column(NamedTuple):
    """A heading. Where there is no room, the highest ``rank`` goes first.

    What room is left widens columns up to ``most``, in order, and the rest of it the one that ``grows``.
    """

    key: str
    title: str
    width: int
    rank: int = 0
    right: bool = True
    grows: bool = False
    most: int = 0
    short: str = ""  # the heading where the title has no room


class Cell(NamedTuple):
    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Row:
    """Cells in the order of the columns; ``tone`` colours the cells that have none."""

    key: str
    cells: Sequence[Cell]
    tone: Tone = "plain"


class RowTable(ScrollView, can_focus=True):
    """A table with a row cursor, for the keyboard (arrows or vi keys) and the mouse."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "row-table--header",
        "row-table--cursor",
        *(f"row-table--{tone}" for tone in ("plain", "yes", "tight", "no", "dim", "best")),
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False),
        Binding("home,g", "go(0)", "First", show=False),
        Binding("end,G", "go(-1)", "Last", show=False),
        Binding("enter", "choose", "Choose", show=False),
    ]

    cursor: reactive[int] = reactive(0)

    class Highlighted(Message):
        """The cursor came to a row by a person's hand."""

        def __init__(self, table: "RowTable", key: str) -> None:
            super().__init__()
            self.table, self.key = table, key

        @property
        def control(self) -> "RowTable":
            return self.table

    class Chosen(Highlighted):
        """Enter, or a click on the row under the cursor."""

    class HeadingClicked(Highlighted):
        """A click on a heading; the key is the column's."""

    def __init__(self, columns: Sequence[Column], id: str | None = None) -> None:
        super().__init__(id=id)
        self.columns = columns
        self.rows: Sequence[Row] = ()
        self.empty = ""  # what stands in the place of rows where there is none
        self._columns_shown: list[tuple[int, int]] = []

    def show(self, rows: Sequence[Row], key: str | None = None) -> None:
        """Put rows in place of the ones there are, the cursor on ``key`` or where it was."""
        wanted = key or self.key
        self.rows = rows
        self.virtual_size = Size(self.size.width, len(rows) + 1)
        keys = [row.key for row in rows]
        index = keys.index(wanted) if wanted in keys else min(self.cursor, max(len(rows) - 1, 0))
        self.set_reactive(RowTable.cursor, index)
        self._centre()
        self.refresh()

    def show_columns(self, columns: Sequence[Column]) -> None:
        self.columns = columns
        self._measure()

    @property
    def key(self) -> str | None:
        """The row under the cursor."""
        return self.rows[self.cursor].key if self.cursor < len(self.rows) else None

    def watch_cursor(self) -> None:
        self._reveal()
        self.refresh()

    def on_resize(self) -> None:
        self._measure()
        self.virtual_size = Size(self.size.width, len(self.rows) + 1)
        self._reveal()

    def action_move(self, by: int) -> None:
        self._put(self.cursor + by)

    def action_page(self, direction: int) -> None:
        self._put(self.cursor + direction * max(self.size.height - 2, 1))

    def action_go(self, index: int) -> None:
        self._put(index % max(len(self.rows), 1))

    def action_choose(self) -> None:
        if self.key is not None:
            self.post_message(self.Chosen(self, self.key))

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            self._click_heading(event.x)
            return
        index = self.scroll_offset.y + event.y - 1
        if index == self.cursor and event.chain > 1:
            self.action_choose()
        elif index < len(self.rows):
            self._put(index)

    def _click_heading(self, x: int) -> None:
        left = _GUTTER
        for index, width in self._layout:
            left += width + _GAP
            if x < left:
                self.post_message(self.HeadingClicked(self, self.columns[index].key))
                return

    def _put(self, index: int) -> None:
        """Move the cursor for a person, and tell."""
        index = max(0, min(index, len(self.rows) - 1))
        if self.rows and index != self.cursor:
            self.cursor = index
            self.post_message(self.Highlighted(self, self.rows[index].key))

    def _reveal(self) -> None:
        """Scroll just so far that the cursor is seen under the heading."""
        visible = max(self.size.height - 1, 1)
        top = self.scroll_offset.y
        if not top <= self.cursor < top + visible:
            y = self.cursor if self.cursor < top else self.cursor - visible + 1
            self.scroll_to(y=y, animate=False, force=True)

    def _centre(self) -> None:
        """Scroll so that rows above and below a cursor nobody moved are seen too."""
        visible = max(self.size.height - 1, 1)
        if not self.scroll_offset.y <= self.cursor < self.scroll_offset.y + visible:
            self.scroll_to(y=max(0, self.cursor - visible // 3), animate=False, force=True)

    def _measure(self) -> None:
        """Choose the columns again that have room."""
        self._columns_shown = []
        self.refresh()

    @property
    def _layout(self) -> list[tuple[int, int]]:
        """Index and width of each column that has room; the first paint comes before the first resize."""
        if not self._columns_shown:
            self._columns_shown = self._chosen_columns(self.size.width - _GUTTER)
        return self._columns_shown

    def _chosen_columns(self, room: int) -> list[tuple[int, int]]:
        widths: dict[int, int] = {}
        for index in sorted(range(len(self.columns)), key=lambda index: self.columns[index].rank):
            if (width := self.columns[index].width) + _GAP > room:
                break  # nothing less telling stands where this had no room
            widths[index] = width
            room -= width + _GAP
        return _spread(self.columns, sorted(widths.items()), room)

    def render_line(self, y: int) -> Strip:
        """One line of the widget: the headings, then the rows from where it is scrolled to."""
        width = self.size.width
        if y == 0:
            return self._headings(width)
        index = self.scroll_offset.y + y - 1
        if index >= len(self.rows):
            return self._blank(self.empty if y == 1 and not self.rows else "", width)
        return self._row(self.rows[index], index == self.cursor, width)

    def _blank(self, words: str, width: int) -> Strip:
        style = self.rich_style
        line = Strip([Segment(" " * _GUTTER + words, style + self._style("dim"))] if words else [])
        return line.adjust_cell_length(width, style)

    def _headings(self, width: int) -> Strip:
        style = self._style("header")
        shown = [(self.columns[index], room) for index, room in self._layout]
        texts = [_fit(_heading(column, room), room, column.right) + " " * _GAP for column, room in shown]
        segments = [Segment(" " * _GUTTER, style), *(Segment(text, style) for text in texts)]
        return Strip(segments).adjust_cell_length(width, style)

    def _row(self, row: Row, cursor: bool, width: int) -> Strip:
        over = self._style("cursor") if cursor else Style()
        segments = [Segment("▸ " if cursor else " " * _GUTTER, self._style(row.tone) + over)]
        for index, room in self._layout:
            cell = row.cells[index]
            style = self._style(cell.tone if cell.tone != "plain" else row.tone) + over
            segments.append(Segment(_fit(cell.text, room, self.columns[index].right) + " " * _GAP, style))
        return Strip(segments).adjust_cell_length(width, self._style(row.tone) + over)

    def _style(self, part: str) -> Style:
        return self.get_component_rich_style(f"row-table--{part}")


def _spread(columns: Sequence[Column], widths: Sequence[tuple[int, int]], room: int) -> list[tuple[int, int]]:
    """Columns by number with their widths, what room is left given to those that can use it."""
    spread = []
    for index, width in widths:
        more = min(max(columns[index].most - width, 0), room)
        room -= more
        spread.append((index, width + more))
    return [(index, width + room * columns[index].grows) for index, width in spread]


def headed(columns: Sequence[Column], sort: str, descending: bool) -> list[Column]:
    """The columns, with an arrow on the one that rows are sorted by."""
    arrow = "↓" if descending else "↑"
    return [c._replace(title=c.title + arrow) if c.key == sort else c for c in columns]


def _heading(column: Column, room: int) -> str:
    return column.short if column.short and len(column.title) > room else column.title


def _fit(text: str, width: int, right: bool) -> str:
    """The text in just so many columns; what is cut off ends in an ellipsis."""
    if len(text) > width:
        text = text[: max(width - 1, 0)] + "…"
    return set_cell_size(text.rjust(width) if right else text, width)
