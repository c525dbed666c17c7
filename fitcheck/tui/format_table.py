"""FormatTable: every weight format of the model, the way the planner judged it."""

from collections.abc import Callable, Sequence
from typing import Any

from fitcheck.render.cells import UNKNOWN, longest, only_bytes_fit, speed_text
from fitcheck.schema.plan import Fits, FormatPlan, Placement, Plan
from fitcheck.tui.row_table import Cell, Column, Row, RowTable, Tone, headed
from fitcheck.units import GIB

FITS: dict[Fits, Cell] = {
    "yes": Cell("✓ yes", "yes"),
    "tight": Cell("~ tight", "tight"),
    "no": Cell("✗ no", "no"),
}
NATIVE_SIGN, BEST_SIGN = "*", "★"


def fits_cell(row: FormatPlan) -> Cell:
    """What is only known to have room gets no tick."""
    return Cell(f"? {row.fits}", "dim") if only_bytes_fit(row) else FITS[row.fits]


COLUMNS = (
    Column("format", "format", 12, right=False, most=16),
    Column("fits", "fits", 7, right=False),
    Column("gib", "GiB", 6, rank=3),
    Column("bits", "bits", 5, rank=5),
    Column("longest", "longest", 7, rank=3),
    Column("layers", "gpu layers", 6, rank=2, most=10, short="on GPU"),
    Column("speed", "tokens/s", 16, rank=1),
    Column("bound", "bound by", 8, rank=4, right=False),
    Column("engine", "engine", 12, rank=7, right=False),
    Column("note", "note", 16, rank=6, right=False, grows=True),
)

_FIT_ORDER: dict[Fits, int] = {"yes": 2, "tight": 1, "no": 0}
SORTS: dict[str, tuple[Callable[[FormatPlan], Any], bool]] = {
    "bits": (lambda row: row.bits_per_weight, True),
    "speed": (lambda row: row.decode_tokens_per_s.expected if row.decode_tokens_per_s else 0.0, True),
    "longest": (lambda row: row.max_context, True),
    "gib": (lambda row: row.total_bytes, False),
    "fits": (lambda row: (_FIT_ORDER[row.fits], row.bits_per_weight), True),
    "format": (lambda row: row.format.lower(), False),
    "engine": (lambda row: (row.engine, -row.bits_per_weight), False),
}
"""Ways to sort, by the key of a column, with whether the largest comes first."""


class FormatTable(RowTable):
    """The plan's formats, sorted; ``show_plan`` keeps the cursor on the format it was on."""

    def __init__(self) -> None:
        super().__init__(COLUMNS, id="formats")

    def show_plan(self, plan: Plan, sort: str, only_fitting: bool, selected: str | None) -> None:
        rows = ordered(plan.plans, sort, only_fitting)
        columns = COLUMNS if placed(plan) else [c for c in COLUMNS if c.key != "layers"]
        self.show_columns(headed(columns, sort, SORTS[sort][1]))
        self.show([_row(row, row.format == plan.best, columns) for row in rows], selected)
        hidden = len(plan.plans) - len(rows)
        count = "1 format" if len(rows) == 1 else f"{len(rows)} formats"
        together = f", tokens/s of {plan.request.batch} sequences together" if plan.request.batch > 1 else ""
        self.border_title = f"{count}{f', {hidden} that do not fit hidden' if hidden else ''}{together}"


def ordered(plans: Sequence[FormatPlan], sort: str, only_fitting: bool) -> list[FormatPlan]:
    """The formats to show, in order; all of them where none fits, since an empty table answers nothing."""
    key, reverse = SORTS[sort]
    fitting = [row for row in plans if row.fits != "no"]
    return sorted(fitting if only_fitting and fitting else plans, key=key, reverse=reverse)


def placed(plan: Plan) -> bool:
    """Whether cards and RAM share the work, so that where layers lie is a question."""
    return bool(plan.machine.cards) and plan.machine.ram_bytes is not None


def layers_text(place: Placement | None) -> str:
    """``37/49`` layers on GPUs, all of them, or all but the experts of 12 layers (``e12``)."""
    if place is None:
        return UNKNOWN
    if place.cpu_moe_layers and place.gpu_layers == place.layers_total:
        return f"e{place.cpu_moe_layers}"
    experts = f" e{place.cpu_moe_layers}" if place.cpu_moe_layers else ""
    whole = place.gpu_layers == place.layers_total
    return "all" if whole else f"{place.gpu_layers}/{place.layers_total}{experts}"


def _row(row: FormatPlan, best: bool, columns: Sequence[Column]) -> Row:
    return Row(row.format, [_CELLS[column.key](row, best) for column in columns], _tone(row, best))


def _name(row: FormatPlan, best: bool) -> Cell:
    sign = BEST_SIGN if best else NATIVE_SIGN if row.needs_native_training else ""
    return Cell(f"{row.format} {sign}".rstrip())


_CELLS: dict[str, Callable[[FormatPlan, bool], Cell]] = {
    "format": _name,
    "fits": lambda row, _: fits_cell(row),
    "gib": lambda row, _: Cell(f"{row.total_bytes / GIB:.1f}"),
    "bits": lambda row, _: Cell(f"{row.bits_per_weight:.2f}"),
    "longest": lambda row, _: Cell(longest(row.max_context)),
    "layers": lambda row, _: Cell(layers_text(row.placement)),
    "speed": lambda row, _: Cell(speed_text(row.decode_tokens_per_s)),
    "bound": lambda row, _: Cell(row.decode_bound or UNKNOWN),
    "engine": lambda row, _: Cell(row.engine),
    "note": lambda row, _: Cell("; ".join(filter(None, (row.quality_note, *row.notes)))),
}


def _tone(row: FormatPlan, best: bool) -> Tone:
    if best:
        return "best"
    return "dim" if row.fits == "no" or row.needs_native_training else "plain"
