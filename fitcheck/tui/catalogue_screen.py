"""CatalogueScreen: what can run here? Every model of the catalogue on the machine as it now stands."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from time import monotonic
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Footer, Input, Static
from textual.worker import get_current_worker

from fitcheck.errors import FitcheckError
from fitcheck.ranking import SORTS, Refused, Taste, choose
from fitcheck.render.cells import UNKNOWN, billions, longest, speed_text
from fitcheck.schema.model import Model
from fitcheck.schema.plan import Plan
from fitcheck.schema.ranking import RankedModel
from fitcheck.sources.matching import matches, said_of
from fitcheck.tui.base_screen import REPAINT_S, BaseScreen, is_open
from fitcheck.tui.format_table import fits_cell
from fitcheck.tui.memory_parts import cards_text
from fitcheck.tui.row_table import Cell, Column, Row, RowTable, headed
from fitcheck.tui.world import Finder, Question
from fitcheck.units import GIB, gb_per_s, gib, tokens

COLUMNS = (
    Column("name", "model", 26, right=False, most=36),
    Column("size", "params", 7, rank=2),
    Column("active", "active", 7, rank=5),
    Column("best", "best", 8, rank=0, right=False),
    Column("bits", "bits", 5, rank=4),
    Column("fits", "fits", 7, rank=1, right=False),
    Column("gib", "GiB", 7, rank=4),
    Column("longest", "longest", 7, rank=4),
    Column("speed", "tokens/s", 16, rank=2),
    Column("bound", "bound by", 8, rank=6, right=False),
    Column("note", "note", 16, rank=7, right=False, grows=True),
)


class CatalogueScreen(BaseScreen):
    """Planned in a worker, shown as it comes; Enter opens a model."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("a", "at_least", "at least"),
        Binding("s", "sort", "sort"),
        Binding("o", "all", "all or what runs"),
        Binding("w", "leave", "back", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._ranked: list[RankedModel] = []
        self._refused = 0  # models that the question can't be asked of
        self._said: dict[str, str] = {}  # what a filter may name each model by
        self._taste = Taste()
        self._done = False
        self._moved = False  # until a person moves, the cursor stays on the first row as rows come in

    def compose(self) -> ComposeResult:
        yield Static("", classes="heading", markup=False)
        with Horizontal(id="taste"):
            yield Input(compact=True, placeholder="filter: qwen, 8b, moe, ternary", id="words")
            yield Static("tokens/s at least: ")
            yield Input(compact=True, placeholder="any", restrict=r"[0-9]*\.?[0-9]*", id="least")
        yield RowTable(COLUMNS)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        for box in self.query(Input):
            box.cursor_blink = False
        self.query_one(RowTable).focus()
        app = self.fitcheck
        if app.question is not None:
            self._plan_all(app.question, app.finder, tuple(app.world.model_names))
        self._show()

    @work(thread=True, exclusive=True)
    def _plan_all(self, question: Question, finder: Finder, names: tuple[str, ...]) -> None:
        """Plan every model beside the interface; stops within one model when the screen is left."""
        worker = get_current_worker()
        shown_at, ranked, refused = monotonic(), list[RankedModel](), 0
        request = replace(question.elsewhere, formats=())
        models = self._models(finder, names)
        take = self.fitcheck.world.taker
        for answer in take(models, question.machine, request, question.engines):
            if worker.is_cancelled:
                return
            if isinstance(answer, Refused):
                refused += 1
            else:
                ranked.append(answer)
            if monotonic() - shown_at > REPAINT_S:
                self.app.call_from_thread(self._grow, list(ranked), refused, False)
                shown_at = monotonic()
        self.app.call_from_thread(self._grow, ranked, refused, True)

    def _models(self, finder: Finder, names: Sequence[str]) -> Iterator[Model]:
        """The catalogue, a model at a time; a faulty profile is passed over."""
        for name in names:
            try:
                model = finder.resolution(name).model
            except FitcheckError:
                continue
            self._said[model.name] = said_of(model)
            yield model

    def _grow(self, ranked: list[RankedModel], refused: int, done: bool) -> None:
        self._ranked, self._refused, self._done = ranked, refused, done
        if is_open(self):
            self._show()

    def _show(self) -> None:
        table, (_, descending, _words) = self.query_one(RowTable), SORTS[self._taste.sort]
        shown = choose(self._named(), self._taste)
        first = shown.models[0].model.name if shown.models and not self._moved else None
        table.show_columns(headed(COLUMNS, self._taste.sort, descending))
        table.empty = "nothing here fits; o shows what does not" if self._done else ""
        table.show([_row(one) for one in shown.models], first)
        self.query_one(".heading", Static).update(self._heading(shown.too_slow))

    def _named(self) -> list[RankedModel]:
        """The models that the filter names."""
        text = self.query_one("#words", Input).value
        known = {one.model.name: one for one in self._ranked}
        said = [(name, self._said[name]) for name in known]
        return [known[match.name] for match in matches(text, list(known), said)]

    def _heading(self, too_slow: int) -> str:
        plan = self.fitcheck.plan
        if plan is None:
            return ""
        fitting, of = sum(one.fits for one in self._ranked), len(self._ranked)
        counted = f"{fitting} of {of} models fit" + ("" if self._done else " so far …")
        asked = f"context {tokens(plan.request.context or 0)}, {plan.request.kv_type} cache"
        refused = f"; {self._refused} can't be asked this" if self._refused else ""
        slow = f"; {too_slow} slower or unmeasured" if too_slow else ""
        return f"{counted} on {_machine(plan)}, {asked}{refused}\n{SORTS[self._taste.sort].words}{slow}"

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "least":
            self._taste = replace(self._taste, least_tokens_per_s=float(event.value.strip(".") or 0))
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
            self._sort(message.key)

    def action_filter(self) -> None:
        self.set_focus(self.query_one("#words", Input))

    def action_at_least(self) -> None:
        self.set_focus(self.query_one("#least", Input))

    def action_leave(self) -> None:
        """From a box back to the table, from there back to the main screen."""
        if any(box.has_focus for box in self.query(Input)):
            self.query_one(RowTable).focus()
        else:
            self.dismiss(None)

    def action_sort(self) -> None:
        ways = list(SORTS)
        self._sort(ways[(ways.index(self._taste.sort) + 1) % len(ways)])

    def _sort(self, way: str) -> None:
        self._taste = replace(self._taste, sort=way)
        self._show()

    def action_all(self) -> None:
        self._taste = replace(self._taste, everything=not self._taste.everything)
        self._show()


def _row(one: RankedModel) -> Row:
    model, row = one.model, one.plan
    moe = model.active_parameters != model.parameters
    cells = (
        Cell(model.name),
        Cell(billions(model.parameters)),
        Cell(billions(model.active_parameters) if moe else ""),
        Cell(row.format),
        Cell(f"{row.bits_per_weight:.2f}"),
        fits_cell(row),
        Cell(f"{row.total_bytes / GIB:.1f}"),
        Cell(longest(row.max_context)),
        Cell(speed_text(row.decode_tokens_per_s)),
        Cell(row.decode_bound or UNKNOWN),
        Cell(row.quality_note or model.note or ""),
    )
    return Row(model.name, cells, "plain" if one.fits else "dim")


def _machine(plan: Plan) -> str:
    machine = plan.machine
    reads = f" reading {gb_per_s(machine.bandwidth_bytes_per_s)}" if machine.bandwidth_bytes_per_s else ""
    return f"{gib(machine.usable_bytes + machine.reserve_bytes)}{reads}{cards_text(machine)}"
