"""ExplainScreen: how the bytes of a format come about, line by line."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from fitcheck.schema.explanation import Explanation
from fitcheck.tui.base_screen import Dialogue
from fitcheck.tui.row_table import Cell, Column, Row, RowTable
from fitcheck.units import MIB, gib

_COLUMNS = (
    Column("part", "part", 8, rank=3, right=False),
    Column("name", "what", 31, right=False),
    Column("mib", "MiB", 10),
    Column("rule", "rule", 24, rank=1, right=False, grows=True),
)


class ExplainScreen(Dialogue[None]):
    """The planner's own derivation; the source of the line under the cursor stands below."""

    def __init__(self, explanation: Explanation, part: str = "") -> None:
        super().__init__()
        # The system's reserve is no part of what the model takes: everything is shown then.
        lines = [line for line in explanation.lines if line.part == part]
        self._lines = lines or list(explanation.lines)
        self._explanation = explanation
        self._table = RowTable(_COLUMNS)
        self._about = Static("", classes="hint", markup=False)

    def compose(self) -> ComposeResult:
        known = self._explanation
        with Vertical(classes="box -high") as box:
            box.styles.width = "92%"
            box.border_title = f"{known.model} as {known.format}: {gib(known.total_bytes, 2)}"
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
