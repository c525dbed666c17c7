"""The look of every table: no lines, bold headings."""

from rich.table import Table

from fitcheck.schema.plan import Fits

FITS_COLOUR: dict[Fits, str] = {"yes": "green", "tight": "yellow", "no": "red"}


def plain_table() -> Table:
    return Table(box=None, pad_edge=False, header_style="bold")
