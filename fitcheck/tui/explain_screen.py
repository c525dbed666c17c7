"""ExplainScreen: how the bytes of a format come about, line by line."""

from collections.abc import Iterator
from dataclasses import replace

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from fitcheck.schema.explanation import Explanation, ExplanationLine
from fitcheck.schema.plan import FormatPlan, MemoryItem
from fitcheck.tui.base_screen import Dialogue
from fitcheck.tui.memory_parts import PART_OF, device_label
from fitcheck.tui.row_table import Cell, Column, Row, RowTable
from fitcheck.units import MIB, gib

_COLUMNS = (
    Column("part", "part", 8, rank=3, right=False),
    Column("name", "what", 31, right=False),
    Column("mib", "MiB", 10),
    Column("rule", "rule", 24, rank=1, right=False, grows=True),
)


def on_devices(explanation: Explanation, row: FormatPlan) -> Explanation:
    """With what of it lies on which device, by the plan."""
    return replace(explanation, memory=row.memory, placement=row.placement)


def device_lines(explanation: Explanation, device: str) -> Iterator[ExplanationLine]:
    """What one device holds, or with no name each of several: the model is spread over them."""
    place = explanation.placement
    if place is None or len(place.devices) < 2:
        return
    source = f"the plan with {' '.join(place.flags)}" if place.flags else "the plan"
    for item in explanation.memory:
        if device in ("", item.device):
            name = f"{device_label(item.device)}: {item.what}"
            yield ExplanationLine(PART_OF[item.what], name, _stay(item), item.bytes, source)  # type: ignore[arg-type]


def _stay(item: MemoryItem) -> str:
    """Whether the bytes stay, and whose pages they are."""
    pages = "pages of the mapped file" if item.kind == "mapped" else "allocated"
    return f"{pages}, {'stay' if item.resident else 'touched while loading only'}"


class ExplainScreen(Dialogue[None]):
    """The planner's own derivation; the source of the line under the cursor stands below."""

    def __init__(self, explanation: Explanation, part: str = "", device: str = "") -> None:
        super().__init__()
        lines = [*(() if device else explanation.lines), *device_lines(explanation, device)]
        # The system's reserve is no part of what the model takes: everything is shown then.
        self._lines = [line for line in lines if line.part == part] or lines
        self._explanation = explanation
        self._device = f" on {device}" if device else ""
        self._table = RowTable(_COLUMNS)
        self._about = Static("", classes="hint", markup=False)

    def compose(self) -> ComposeResult:
        known = self._explanation
        total = sum(line.bytes for line in self._lines) if self._device else known.total_bytes
        with Vertical(classes="box -high") as box:
            box.styles.width = "92%"
            box.border_title = f"{known.model} as {known.format}{self._device}: {gib(total, 2)}"
            box.border_subtitle = "esc back"
            yield self._table
            yield self._about

    def on_mount(self) -> None:
        rows = [
            Row(str(i), (Cell(line.part), Cell(line.name), Cell(f"{line.bytes / MIB:,.1f}"), Cell(line.rule)))
            for i, line in enumerate(self._lines)
        ]
        self._table.show(rows)
        self._tell(0)

    def on_row_table_highlighted(self, message: RowTable.Highlighted) -> None:
        self._tell(int(message.key))

    def _tell(self, index: int) -> None:
        line = self._lines[index]
        self._about.update(f"{line.rule} = {line.bytes:,} bytes\nsource: {line.source}")
