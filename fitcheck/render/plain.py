"""The look of every table: no lines, bold headings."""

from rich.table import Table


def plain_table() -> Table:
    return Table(box=None, pad_edge=False, header_style="bold")
