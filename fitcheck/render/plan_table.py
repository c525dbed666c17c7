"""The rows of a Plan as a table that suits the screen."""

from collections.abc import Collection, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fitcheck.render.cells import UNKNOWN, fits_text, longest, only_bytes_fit, speed_text
from fitcheck.render.plain import FITS_COLOUR, plain_table
from fitcheck.schema.plan import FormatPlan, Placement, Plan
from fitcheck.units import GB, GIB

Cell = str | Text

_LEFT = ("format", "bound by")  # the other columns are set right
_NEEDED_LEAST = ("bound by", "longest", "bits", "file GB", "gpu layers")  # the first of them goes first


def plan_table(plan: Plan, console: Console) -> Table:
    """On a narrow screen columns come closer, then cells are folded between words, then columns go.

    No word is ever cut while the format, its memory and its speed have room.
    """
    rows = [_cells(row, shares_layers(plan)) for row in plan.plans]
    styles = ["bold" if row.format == plan.best else "" for row in plan.plans]
    table = _table(rows, styles)
    if _too_wide(table, console):
        table.padding = (0, 1, 0, 0)
    for count in range(len(_NEEDED_LEAST) + 1):
        if not _too_wide(table, console):
            break
        table = _folded(rows, styles, _NEEDED_LEAST[:count])
    return table


def shares_layers(plan: Plan) -> bool:
    """Whether cards and RAM share the work in any row, so that where layers lie is a question."""
    return bool(plan.machine.cards) and plan.machine.ram_bytes is not None


def _cells(row: FormatPlan, shared: bool) -> dict[str, Cell]:
    """By heading. Beside a GPU its layers take the room of the file's figures: 80 columns hold no more."""
    file = {"bits": f"{row.bits_per_weight:.2f}", "file GB": f"{row.weights_bytes / GB:.2f}"}
    return {
        "format": f"{row.format}{' *' if row.needs_native_training else ''}",
        **({"gpu layers": _layers(row.placement)} if shared else file),
        "total GiB": f"{row.total_bytes / GIB:.1f}",
        "fits": Text(fits_text(row), style="dim" if only_bytes_fit(row) else FITS_COLOUR[row.fits]),
        "longest": longest(row.max_context),
        "tokens/s": speed_text(row.decode_tokens_per_s),
        "bound by": row.decode_bound or UNKNOWN,
    }


def _layers(place: Placement | None) -> str:
    """``37/49``, and with how many layers' experts in RAM: ``49/49 e12``."""
    if place is None:
        return UNKNOWN
    experts = f" e{place.cpu_moe_layers}" if place.cpu_moe_layers else ""
    return f"{place.gpu_layers}/{place.layers_total}{experts}"


def _table(rows: Sequence[dict[str, Cell]], styles: Sequence[str], left_out: Collection[str] = ()) -> Table:
    headings = [heading for heading in rows[0] if heading not in left_out]
    table = plain_table()
    for heading in headings:
        table.add_column(heading, justify="left" if heading in _LEFT else "right")
    for row, style in zip(rows, styles, strict=True):
        table.add_row(*(row[heading] for heading in headings), style=style)
    return table


def _folded(rows: Sequence[dict[str, Cell]], styles: Sequence[str], left_out: Collection[str]) -> Table:
    """With every column as wide as its longest word."""
    table = _table(rows, styles, left_out)
    table.padding = (0, 1, 0, 0)
    for column in table.columns:
        texts = (str(column.header), *map(str, column.cells))
        column.width = max(len(word) for text in texts for word in text.split())
    return table


def _too_wide(table: Table, console: Console) -> bool:
    """By what it would take of an endless screen."""
    endless = console.options.update(max_width=1 << 16)
    return console.measure(table, options=endless).maximum > console.width
