"""CompareScreen: the machine as it stands beside another as it is sold, for the same question."""

from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Footer, Static

from fitcheck.errors import FitcheckError
from fitcheck.render.cells import UNKNOWN, longest, speed_text
from fitcheck.schema.plan import FormatPlan, MachineSummary, Plan
from fitcheck.tui.base_screen import BaseScreen, is_open
from fitcheck.tui.format_table import fits_cell
from fitcheck.tui.latest import Latest
from fitcheck.tui.machine_picker import MachinePicker
from fitcheck.tui.memory_parts import cards_text
from fitcheck.tui.row_table import Cell, Column, Row, RowTable
from fitcheck.units import GIB, counted, gb_per_s, gib, rate

COLUMNS = (
    Column("format", "format", 11, right=False, most=16),
    Column("gib", "GiB", 6, rank=3),
    Column("fits_left", "left", 7, rank=1, right=False),
    Column("longest_left", "longest", 7, rank=4),
    Column("speed_left", "tokens/s", 16, rank=1),
    Column("fits_right", "right", 7, rank=1, right=False),
    Column("longest_right", "longest", 7, rank=4),
    Column("speed_right", "tokens/s", 16, rank=1),
    Column("ratio", "ratio", 6, rank=2),
)


class CompareScreen(BaseScreen):
    """Two plans side by side, format by format."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("M", "pick", "another machine", key_display="M"),
        Binding("enter", "pick", "another machine", show=False),
        Binding("o", "fitting", "only what fits"),
        Binding("c", "leave", "back", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._other: Plan | None = None
        self._planning: Latest[Plan | FitcheckError] = Latest(self)
        self._only_fitting = False

    def compose(self) -> ComposeResult:
        with Horizontal(id="both"):
            yield Static("", id="left")
            yield Static("", id="right")
        yield RowTable(COLUMNS)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(RowTable).focus()
        self.query_one(RowTable).empty = "planning …"
        self.watch(self.app, "plan", self._follow, init=False)
        beside = self.fitcheck.settings.beside
        if beside is None or not self._plan(beside):
            self.action_pick()

    def on_row_table_chosen(self) -> None:
        self.action_pick()

    def action_pick(self) -> None:
        self.app.push_screen(MachinePicker(self.fitcheck.settings.beside), self._take)

    def action_fitting(self) -> None:
        self._only_fitting = not self._only_fitting
        self._show()

    def _take(self, name: str | None) -> None:
        if name is not None:
            self._plan(name)
        elif self._other is None:
            self.dismiss(None)

    def _plan(self, name: str) -> bool:
        """Ask the same of the other machine; this one's own name is ``THIS``."""
        app = self.fitcheck
        if app.question is None:
            return False
        try:
            machine = app.finder.base(name or None)
        except FitcheckError as error:
            return self._refuse(error)
        question = replace(app.question, machine=machine, request=app.question.elsewhere)
        self._planning.ask(question.answer, lambda answer: self._put(name, answer))
        return True

    def _follow(self) -> None:
        """The left side has changed after all: its answer took its time."""
        if (beside := self.fitcheck.settings.beside) is not None:
            self._plan(beside)

    def _put(self, name: str, answer: Plan | FitcheckError) -> None:
        if not is_open(self):
            return
        if isinstance(answer, Plan):
            self._other = answer
            self.fitcheck.remember(beside=name)
            self._show()
        else:
            self._refuse(answer)
            if self._other is None:
                self.action_pick()

    def _refuse(self, error: FitcheckError) -> bool:
        self.notify(f"{error.message}; {error.remedy}", severity="warning")
        return False

    def _show(self) -> None:
        left, right = self.fitcheck.plan, self._other
        if left is None or right is None:
            return
        self.query_one("#left", Static).update(_heading("left", left))
        self.query_one("#right", Static).update(_heading("right", right))
        there = {row.format: row for row in right.plans}
        pairs = [(row, there[row.format]) for row in left.plans if row.format in there]
        if self._only_fitting:
            pairs = [(a, b) for a, b in pairs if {a.fits, b.fits} != {"no"}]
        pairs.sort(key=lambda pair: -pair[0].bits_per_weight)
        rows = [_row(a, b, a.format in (left.best, right.best)) for a, b in pairs]
        table = self.query_one(RowTable)
        table.show(rows, table.key or left.best or right.best)


def _heading(side: str, plan: Plan) -> Content:
    return Content.assemble(
        (f"{side}: {plan.machine.name}", "bold"),
        "\n",
        (_facts(plan.machine), "$text-muted"),
        "\n",
        plan.verdict,
    )


def _facts(machine: MachineSummary) -> str:
    memory = gib(machine.usable_bytes + machine.reserve_bytes)
    reads = gb_per_s(machine.bandwidth_bytes_per_s) if machine.bandwidth_bytes_per_s else "an unknown rate"
    threads = f"{counted(machine.threads or '?', 'thread')}{cards_text(machine)}"
    changed = f", changed: {', '.join(machine.overrides)}" if machine.overrides else ""
    return f"{memory}, reads {reads} ({machine.bandwidth_basis}), {threads}{changed}"


def _row(left: FormatPlan, right: FormatPlan, best: bool) -> Row:
    cells = (
        Cell(f"{left.format}{' ★' if best else ''}"),
        Cell(f"{left.total_bytes / GIB:.1f}"),
        *_side(left),
        *_side(right),
        Cell(_ratio(left, right)),
    )
    return Row(left.format, cells, "best" if best else "dim" if left.fits == right.fits == "no" else "plain")


def _side(row: FormatPlan) -> tuple[Cell, Cell, Cell]:
    return fits_cell(row), Cell(longest(row.max_context)), Cell(speed_text(row.decode_tokens_per_s))


def _ratio(left: FormatPlan, right: FormatPlan) -> str:
    a, b = left.decode_tokens_per_s, right.decode_tokens_per_s
    return f"{rate(b.expected / a.expected)}×" if a and b else UNKNOWN
