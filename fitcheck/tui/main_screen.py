"""MainScreen: machine and question on the edges, the formats in the middle, the selected one taken apart."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.widgets import Footer

from fitcheck.schema.plan import FormatPlan, Plan
from fitcheck.tui.choices import MACHINE_KEYS
from fitcheck.tui.field_row import FieldRow
from fitcheck.tui.fields import MACHINE_FIELDS
from fitcheck.tui.format_facts import FormatFacts
from fitcheck.tui.format_table import SORTS, FormatTable
from fitcheck.tui.latest import Latest
from fitcheck.tui.machine_panel import MachineName, MachinePanel
from fitcheck.tui.memory_bar import MemoryBar
from fitcheck.tui.model_search import ModelSearch
from fitcheck.tui.question_bar import QuestionBar
from fitcheck.tui.row_table import RowTable
from fitcheck.tui.speed_plot import SpeedPlot
from fitcheck.tui.sweep import SweepPoint, sweep
from fitcheck.tui.verdict_line import VerdictLine

if TYPE_CHECKING:
    from fitcheck.tui.app import FitcheckApp

SWEEP_POINTS = 13


class MainScreen(Screen[None]):
    """Shows the app's Plan; turns what people do into choices of the app."""

    AUTO_FOCUS = "#formats"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "go('#model')", "model", key_display="/", tooltip="search a model, or open a file"),
        Binding("m", "go('#field-ram_bytes')", "machine", tooltip="turn the machine's fields"),
        Binding(
            "w", "app.push('catalogue')", "runs here", tooltip="every model of the catalogue on this machine"
        ),
        Binding("c", "app.push('compare')", "compare", tooltip="this machine beside another"),
        Binding("n", "app.push('needs')", "needs", tooltip="what a wished speed would take"),
        Binding("v", "app.push('measure')", "measure", tooltip="probe, bench and verify on this machine"),
        Binding("x", "app.export", "export", tooltip="write JSON, Markdown or a picture"),
        Binding("y", "app.copy", "copy command", show=False, tooltip="the command line of this plan"),
        Binding("Y", "app.copy_flags", "copy flags", show=False, tooltip="what to tell the engine"),
        Binding("M", "pick_machine", "another machine", show=False, tooltip="pick one of the catalogue"),
        Binding("f", "go('#formats')", "formats", show=False),
        Binding(
            "left_square_bracket", "turn('context', -1)", "half the context", show=False, key_display="["
        ),
        Binding(
            "right_square_bracket", "turn('context', 1)", "twice the context", show=False, key_display="]"
        ),
        Binding("s", "sort", "sort", show=False, tooltip="by the next column"),
        Binding("o", "only_fitting", "only what fits", show=False, tooltip="or all formats again"),
        Binding(
            "e",
            "explain('')",
            "explain",
            show=False,
            tooltip="the bytes of the selected format, line by line",
        ),
        Binding("R", "reset", "reset", show=False, tooltip="the machine as it was found, or as it is sold"),
        Binding("escape", "go('#formats')", "formats", show=False),
    ]

    def __init__(self, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self._sweeping: Latest[tuple[SweepPoint, ...]] = Latest(self)

    @property
    def fitcheck(self) -> "FitcheckApp":
        return cast("FitcheckApp", self.app)

    def compose(self) -> ComposeResult:
        yield QuestionBar()
        with Horizontal(id="body"):
            yield MachinePanel()
            with Container(id="centre"):
                yield FormatTable()
                with Vertical(id="detail"):
                    yield MemoryBar()
                    yield FormatFacts()
                    yield SpeedPlot()
        yield VerdictLine()
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.watch(self.app, "asked", self._show_fields)
        self.watch(self.app, "plan", self._show_plan)
        self.watch(self.app, "picked", self._show_row)
        self.watch(self.app, "problem", self._show_problem)
        self.call_after_refresh(self._know_models)

    def _know_models(self) -> None:
        """Aliases stand in the profiles' files: they are read once the screen is there."""
        app = self.fitcheck
        self.query_one(ModelSearch).know(app.world.model_names, app.world.aliases(), app.settings.favourites)

    def _show_fields(self) -> None:
        """The values as they were set, whether or not their answer is there already."""
        if (shown := self.fitcheck.shown) is not None:
            self.query_one(QuestionBar).show(shown)
            self.query_one(MachinePanel).show(shown)

    def _show_plan(self, plan: Plan | None) -> None:
        if plan is not None:
            self._show_fields()
            self._show_table(plan)
            self._show_row()

    def _show_table(self, plan: Plan) -> None:
        settings, row = self.fitcheck.settings, self.fitcheck.row
        selected = row.format if row else None
        self.query_one(FormatTable).show_plan(plan, settings.sort, settings.only_fitting, selected)

    def _show_row(self) -> None:
        """What belongs to the selected format alone."""
        app = self.fitcheck
        plan, row = app.plan, app.row
        if plan is None or row is None:
            return
        bar = self.query_one(MemoryBar)
        bar.show(plan, row)
        self.set_class(bar.devices > 1, "-spread")
        self.query_one(FormatFacts).show(plan, row)
        self.query_one(VerdictLine).show(plan, row)
        self._show_speed(plan, row)

    def _show_speed(self, plan: Plan, row: FormatPlan) -> None:
        """Asking the planner at each depth takes as long as a plan: with cards beside the interface."""
        question, plot = self.fitcheck.question, self.query_one(SpeedPlot)
        marks = self.fitcheck.marks_of(plan, row)

        def take(points: Sequence[SweepPoint]) -> None:
            plot.show(row, points, plan.request, marks)

        if question is not None and plot.display and question.slow:
            self._sweeping.ask(lambda: sweep(question, row, SWEEP_POINTS), take)
        else:
            self._sweeping.drop()
            take(sweep(question, row, SWEEP_POINTS) if question and plot.display else ())

    def _show_problem(self, problem: str) -> None:
        if problem:
            self.query_one(VerdictLine).show_problem(problem)
        elif self.fitcheck.plan is not None and self.fitcheck.row is not None:
            self.query_one(VerdictLine).show(self.fitcheck.plan, self.fitcheck.row)

    def on_row_table_highlighted(self, message: RowTable.Highlighted) -> None:
        self.fitcheck.picked = message.key

    def on_row_table_chosen(self) -> None:
        self.action_explain("")

    def on_row_table_heading_clicked(self, message: RowTable.HeadingClicked) -> None:
        if message.key in SORTS:
            self._sort(message.key)

    def on_memory_bar_explained(self, message: MemoryBar.Explained) -> None:
        self.action_explain(message.part, message.device)

    def on_model_search_chosen(self, message: ModelSearch.Chosen) -> None:
        if self.fitcheck.choose_model(message.text):
            self.query_one(FormatTable).focus()
        else:
            self.query_one(ModelSearch).say(self.fitcheck.problem)

    def on_model_search_starred(self, message: ModelSearch.Starred) -> None:
        self.fitcheck.toggle_favourite(message.text)
        self._know_models()

    def on_model_search_left(self) -> None:
        self.fitcheck.problem = ""  # of a name that is no longer asked for
        self.query_one(FormatTable).focus()

    def on_machine_name_clicked(self, _message: MachineName.Clicked) -> None:
        self.action_pick_machine()

    def action_go(self, selector: str) -> None:
        try:
            self.set_focus(self.query_one(selector))  # at once: keys may follow in a burst
        except NoMatches:
            return

    def action_turn(self, key: str, direction: int) -> None:
        self.query_one(f"#field-{key}", FieldRow).action_step(direction)

    def action_sort(self) -> None:
        """The next way to sort."""
        ways = list(SORTS)
        self._sort(ways[(ways.index(self.fitcheck.settings.sort) + 1) % len(ways)])

    def _sort(self, way: str) -> None:
        self.fitcheck.remember(sort=way)
        if self.fitcheck.plan is not None:
            self._show_table(self.fitcheck.plan)

    def action_only_fitting(self) -> None:
        self.fitcheck.remember(only_fitting=not self.fitcheck.settings.only_fitting)
        if self.fitcheck.plan is not None:
            self._show_table(self.fitcheck.plan)

    def action_reset(self) -> None:
        """The machine as it was found, or as it is sold."""
        turned = (field.key for field in MACHINE_FIELDS)
        self.fitcheck.ask(self.fitcheck.choices.without(*turned, *MACHINE_KEYS))

    def action_pick_machine(self) -> None:
        from fitcheck.tui.machine_picker import THIS, MachinePicker  # noqa: PLC0415 (when first wanted)

        def take(name: str | None) -> None:
            if name is not None:
                self.fitcheck.choose_machine(None if name == THIS else name)

        self.app.push_screen(MachinePicker(self.fitcheck.choices.machine), take)

    def action_pick_card(self) -> None:
        from fitcheck.tui.machine_picker import THIS, CardPicker  # noqa: PLC0415 (when first wanted)

        def take(name: str | None) -> None:
            if name is not None:
                self.fitcheck.ask(self.fitcheck.choices.put("gpus", () if name == THIS else (name,)))

        cards = self.fitcheck.choices.gpus
        self.app.push_screen(CardPicker(cards[-1] if cards else None), take)

    def action_explain(self, part: str, device: str = "") -> None:
        from fitcheck.footprint.explain import explain, explain_file  # noqa: PLC0415
        from fitcheck.tui.explain_screen import ExplainScreen, on_devices  # noqa: PLC0415

        app = self.fitcheck
        if app.question is not None and app.plan is not None and app.row is not None:
            request, model, file = (
                replace(app.plan.request, formats=()),
                app.question.model,
                app.question.file,
            )
            if file is not None:
                why = explain_file(model, file, request, request.context or 0)
            else:
                why = explain(model, app.row.format, request, request.context or 0)
            self.app.push_screen(ExplainScreen(on_devices(why, app.row), part, device))
