"""CatalogueScreen: what can run here? Every model of the catalogue on the machine as it now stands."""

from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Any, ClassVar, NamedTuple

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Footer, Input, Static
from textual.worker import get_current_worker

from fitcheck.errors import FitcheckError
from fitcheck.schema.plan import FormatPlan, ModelSummary, Plan
from fitcheck.tui.base_screen import BaseScreen
from fitcheck.tui.format_table import FITS, UNKNOWN, speed_text
from fitcheck.tui.matching import matches
from fitcheck.tui.row_table import Cell, Column, Row, RowTable
from fitcheck.tui.world import Finder, Question
from fitcheck.units import GIB, gb_per_s, gib, tokens

_REPAINT_S = 0.15  # how often the table grows while models are planned

COLUMNS = (
    Column("name", "model", 26, right=False),
    Column("size", "params", 7, rank=2),
    Column("active", "active", 7, rank=5),
    Column("format", "best", 8, rank=0, right=False),
    Column("fits", "fits", 7, rank=1, right=False),
    Column("gib", "GiB", 7, rank=4),
    Column("longest", "longest", 7, rank=4),
    Column("speed", "tokens/s", 16, rank=2),
    Column("bound", "bound by", 8, rank=6, right=False),
)


class Entry(NamedTuple):
    """A model with the format to take, or the smallest where none fits."""

    model: ModelSummary
    row: FormatPlan
    runs: bool


SORTS: dict[str, tuple[Callable[[Entry], Any], bool]] = {
    "size": (lambda entry: entry.model.parameters, True),
    "speed": (
        lambda entry: entry.row.decode_tokens_per_s.expected if entry.row.decode_tokens_per_s else 0.0,
        True,
    ),
    "longest": (lambda entry: entry.row.max_context, True),
    "gib": (lambda entry: entry.row.total_bytes, False),
    "name": (lambda entry: entry.model.name, False),
}


class CatalogueScreen(BaseScreen):
    """Planned in a worker, shown as it comes; Enter opens a model."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("s", "sort", "sort"),
        Binding("o", "all", "all or what runs"),
        Binding("w", "leave", "back", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._entries: list[Entry] = []
        self._sort = "size"
        self._all = False
        self._done = False
        self._moved = False  # until a person moves, the cursor stays on the first row as rows come in

    def compose(self) -> ComposeResult:
        yield Static("", classes="heading", markup=False)
        yield Input(compact=True, placeholder="filter: qwen, 8b, moe", classes="filter")
        yield RowTable(COLUMNS)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(Input).cursor_blink = False
        self.query_one(RowTable).focus()
        app = self.fitcheck
        if app.question is not None:
            self._plan_all(app.question, app.finder, tuple(app.world.model_names))
        self._show()

    @work(thread=True, exclusive=True)
    def _plan_all(self, question: Question, finder: Finder, names: tuple[str, ...]) -> None:
        """Plan every model beside the interface; stops within one model when the screen is left."""
        worker = get_current_worker()
        shown_at, entries = monotonic(), list[Entry]()
        for name in names:
            if worker.is_cancelled:
                return
            if (entry := plan_entry(question, finder, name)) is not None:
                entries.append(entry)
            if monotonic() - shown_at > _REPAINT_S:
                self.app.call_from_thread(self._grow, list(entries), False)
                shown_at = monotonic()
        self.app.call_from_thread(self._grow, entries, True)

    def _grow(self, entries: list[Entry], done: bool) -> None:
        self._entries, self._done = entries, done
        if self.is_attached:
            self._show()

    def _show(self) -> None:
        shown = self._chosen()
        self.query_one(RowTable).show_columns(
            [
                c._replace(title=c.title + ("↓" if SORTS[self._sort][1] else "↑"))
                if c.key == self._sort
                else c
                for c in COLUMNS
            ]
        )
        first = shown[0].model.name if shown and not self._moved else None
        self.query_one(RowTable).show([_row(entry) for entry in shown], first)
        self.query_one(".heading", Static).update(self._heading())

    def _chosen(self) -> list[Entry]:
        key, reverse = SORTS[self._sort]
        text = self.query_one(Input).value
        wanted = {match.name for match in matches(text, [entry.model.name for entry in self._entries])}
        found = [entry for entry in self._entries if entry.model.name in wanted and (entry.runs or self._all)]
        return sorted(found, key=key, reverse=reverse)

    def _heading(self) -> str:
        plan = self.fitcheck.plan
        if plan is None:
            return ""
        runs = sum(entry.runs for entry in self._entries)
        counted = f"{runs} of {len(self._entries)} models run" + ("" if self._done else " so far …")
        asked = f"context {tokens(plan.request.context or 0)}, {plan.request.kv_type} cache"
        return f"{counted} on {_machine(plan)}, {asked}; enter opens one"

    def on_input_changed(self) -> None:
        self._show()

    def on_input_submitted(self) -> None:
        self.query_one(RowTable).focus()

    def on_row_table_highlighted(self) -> None:
        self._moved = True

    def on_row_table_chosen(self, message: RowTable.Chosen) -> None:
        app = self.fitcheck
        self.dismiss(None)
        app.choose_model(message.key)

    def on_row_table_heading_clicked(self, message: RowTable.HeadingClicked) -> None:
        if message.key in SORTS:
            self._sort = message.key
            self._show()

    def action_filter(self) -> None:
        self.query_one(Input).focus()

    def action_leave(self) -> None:
        """From the filter back to the table, from there back to the main screen."""
        if self.query_one(Input).has_focus:
            self.query_one(RowTable).focus()
        else:
            self.dismiss(None)

    def action_sort(self) -> None:
        ways = list(SORTS)
        self._sort = ways[(ways.index(self._sort) + 1) % len(ways)]
        self._show()

    def action_all(self) -> None:
        self._all = not self._all
        self._show()


def plan_entry(question: Question, finder: Finder, name: str) -> Entry | None:
    """One model on the question's machine; None where it can't be planned (a faulty profile)."""
    try:
        model = finder.resolution(name).model
        context = question.request.context
        if context and model.context_max:
            context = min(context, model.context_max)
        request = replace(question.request, context=context, formats=())
        plan = replace(question, model=model, request=request, asked=None, file=None).plan()
    except FitcheckError:
        return None
    best = next((row for row in plan.plans if row.format == plan.best), None)
    return Entry(plan.model, best or min(plan.plans, key=lambda row: row.total_bytes), best is not None)


def _row(entry: Entry) -> Row:
    model, row = entry.model, entry.row
    moe = model.active_parameters != model.parameters
    cells = (
        Cell(model.name),
        Cell(_billions(model.parameters)),
        Cell(_billions(model.active_parameters) if moe else ""),
        Cell(row.format),
        FITS[row.fits],
        Cell(f"{row.total_bytes / GIB:.1f}"),
        Cell(tokens(row.max_context) if row.max_context else UNKNOWN),
        Cell(speed_text(row.decode_tokens_per_s)),
        Cell(row.decode_bound or UNKNOWN),
    )
    return Row(model.name, cells, "plain" if entry.runs else "dim")


def _billions(count: int) -> str:
    return f"{count / 1e9:.1f}B" if count >= 1e9 else f"{count / 1e6:.0f}M"


def _machine(plan: Plan) -> str:
    machine = plan.machine
    reads = f" reading {gb_per_s(machine.bandwidth_bytes_per_s)}" if machine.bandwidth_bytes_per_s else ""
    return f"{gib(machine.usable_bytes + machine.reserve_bytes)}{reads}"
