"""Columns beside each other look as Rich's own table, which they stand in for."""

from io import StringIO

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from fitcheck.render.columns import Columns
from fitcheck.render.plain import plain_table

CELLS = st.text("abc 0.–×", min_size=1, max_size=12).map(str.strip).filter(bool)
ROWS = st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=5)


def shown(table: object, width: int, *, colour: bool = False) -> str:
    console = Console(file=StringIO(), width=width, force_terminal=colour, highlight=False, markup=False)
    console.print(table)
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


def columns(rows: list[tuple[str, str, str]]) -> Columns:
    table = Columns(("format",), ("GiB",), "bound by")
    for first, second, last in rows:
        table.add_row(first, Text(second), last)
    return table


@given(ROWS)
def test_with_room_they_are_its_lines(rows: list[tuple[str, str, str]]) -> None:
    table = plain_table()
    for heading, justify in (("format", "left"), ("GiB", "right"), ("bound by", "left")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*row)
    assert shown(columns(rows), 80) == shown(table, 80)


@given(ROWS, st.integers(12, 40))
def test_no_line_is_longer_than_the_screen(rows: list[tuple[str, str, str]], width: int) -> None:
    assert all(len(line) <= width for line in shown(columns(rows), width).splitlines())


def test_they_come_closer_before_a_cell_is_folded() -> None:
    table = columns([("Q4_K_M", "39.6", "memory")])
    assert shown(table, 20) == "format  GiB bound by\nQ4_K_M 39.6 memory  \n"
    assert len(shown(table, 18).splitlines()) > 2


def test_a_row_has_its_style_and_a_cell_its_own() -> None:
    table = Columns(("format",), (), "fits")
    table.add_row("Q8_0", Text("yes", style="green"), style="bold")
    assert "\x1b[1mQ8_0" in shown(table, 40, colour=True)
    assert "\x1b[1;32myes" in shown(table, 40, colour=True)
