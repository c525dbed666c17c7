"""NeedsScreen: what would it take? Least RAM and bandwidth for a wished speed; machines that do it."""

from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Footer, Input, Static
from textual.worker import get_current_worker

from fitcheck.errors import BadInput, FitcheckError
from fitcheck.planner import DEFAULT_CONTEXT, context_for
from fitcheck.render.cells import UNKNOWN, speed_text
from fitcheck.schema.machine import Machine
from fitcheck.schema.requirement import Candidate, Needs, Requirement
from fitcheck.tui.base_screen import REPAINT_S, BaseScreen, is_open
from fitcheck.tui.row_table import Cell, Column, Row, RowTable
from fitcheck.tui.world import Finder, Question
from fitcheck.units import GB, GIB, parse_tokens, tokens

DEFAULT_WISH = "10"

REQUIREMENTS = (
    Column("format", "format", 9, right=False, most=15),
    Column("ram", "GiB RAM", 6, most=8, short="GiB"),
    Column("bandwidth", "GB/s reads", 5, most=10, short="GB/s"),
    Column("weights", "10⁹ weights/s", 13, rank=2),
    Column("engine", "engine", 10, rank=3, right=False),
)
CANDIDATES = (
    Column("machine", "machine", 18, right=False, most=26),
    Column("format", "format", 8, right=False),
    Column("gib", "GiB", 6, rank=2),
    Column("speed", "tokens/s", 16),
    Column("bound", "bound by", 8, rank=1, right=False),
)


class NeedsScreen(BaseScreen):
    """Requirements at each key; machines, which are many plans, from a worker."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "focus_wish", "wish", key_display="/"),
        Binding("n", "leave", "back", show=False),
    ]

    def compose(self) -> ComposeResult:
        question = self.fitcheck.question
        context = context_for(question.model, question.request.context) if question else DEFAULT_CONTEXT
        yield Static("", classes="heading", markup=False)
        with Horizontal(id="wish"):
            yield Static("tokens/s wished for: ")
            yield Input(DEFAULT_WISH, compact=True, restrict=r"[0-9]*\.?[0-9]*", id="wished-speed")
            yield Static("with a context of: ")
            yield Input(tokens(context), compact=True, id="wished-context")
        with Horizontal():
            yield RowTable(REQUIREMENTS, id="requirements")
            yield RowTable(CANDIDATES, id="candidates")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        for box in self.query(Input):
            box.cursor_blink = False
        self.action_focus_wish()

    def on_input_changed(self, _event: Input.Changed) -> None:
        """Answers at the first showing too: the boxes are filled then."""
        question = self.fitcheck.question
        if question is None:
            return
        self.workers.cancel_all()  # what is being looked for was another wish
        try:
            wished, speed = self._wished(question)
            answer = self._ask(wished, speed)
        except FitcheckError as error:
            self._clear(f"{error.message}; {error.remedy}")
            return
        self._show(answer)
        self._find(wished, speed, self.fitcheck.finder, self.fitcheck.world.machine_names)

    def _wished(self, question: Question) -> tuple[Question, float]:
        """The question with the wished context, and the wished speed. Raises BadInput."""
        speed = float(self.query_one("#wished-speed", Input).value.strip(".") or 0)
        if not speed:
            raise BadInput("type how many tokens/s there should be", "for example 10")
        return replace(question, request=replace(question.elsewhere, context=self._wished_context)), speed

    @property
    def _wished_context(self) -> int:
        return parse_tokens(self.query_one("#wished-context", Input).value)

    def on_input_submitted(self) -> None:
        self.query_one("#candidates", RowTable).focus()

    def on_row_table_chosen(self, message: RowTable.Chosen) -> None:
        """Take the machine, and the context that it was wished for."""
        if message.table.id == "candidates":
            app, context = self.fitcheck, self._wished_context
            self.dismiss(None)
            app.choose_machine(message.key)
            if app.plan is not None and app.plan.request.context != context:
                app.ask(app.choices.put("context", context))

    def action_focus_wish(self) -> None:
        self.set_focus(self.query_one("#wished-speed", Input))

    def _clear(self, words: str) -> None:
        """No answer, and why."""
        self.query_one(".heading", Static).update(words)
        for table in self.query(RowTable):
            table.empty = ""
            table.show(())

    def _show(self, answer: Needs) -> None:
        self._head(answer, "looking for machines …")
        rows = sorted(answer.requirements, key=lambda need: need.ram_bytes)
        self.query_one("#requirements", RowTable).show([_requirement(need) for need in rows])
        machines = self.query_one("#candidates", RowTable)
        machines.empty = "looking for machines …"
        machines.show(())

    def _ask(self, question: Question, wish: float, *machines: Machine) -> Needs:
        world = self.fitcheck.world
        return world.needs(question.model, question.request, wish, question.engines, machines)

    def _head(self, answer: Needs, found: str) -> None:
        asked = (
            f"{answer.model}, context {tokens(answer.context)}: the least RAM and bandwidth that would do."
        )
        self.query_one(".heading", Static).update(f"{asked} {found}")

    @work(thread=True, exclusive=True)
    def _find(self, question: Question, wish: float, finder: Finder, names: Sequence[str]) -> None:
        """Plan for every machine of the catalogue, one at a time so that a new wish ends it soon."""
        worker = get_current_worker()
        shown_at, found = monotonic(), list[Candidate]()
        for number, name in enumerate(names):
            if worker.is_cancelled:
                return
            if (machine := _machine(finder, name)) is None:
                continue
            answer = self._ask(question, wish, machine)
            found.extend(answer.candidates)
            if monotonic() - shown_at > REPAINT_S:
                words = f"{len(found)} of {number + 1} machines do it so far …"
                self.app.call_from_thread(self._show_machines, answer, found[:], words)
                shown_at = monotonic()
        self.app.call_from_thread(self._show_machines, self._ask(question, wish), found, _counted(len(found)))

    def _show_machines(self, answer: Needs, found: list[Candidate], words: str) -> None:
        if is_open(self):
            self._head(answer, words)
            table = self.query_one("#candidates", RowTable)
            table.empty = "" if words == _counted(0) else table.empty
            rows = [_candidate(one) for one in sorted(found, key=_speed)]
            # Until a person is in the list it stands at its first row, or later rows would carry it off.
            table.show(rows, rows[0].key if rows and not table.has_focus else None)


def _counted(machines: int) -> str:
    if not machines:
        return "No machine of the catalogue does it."
    return f"{machines} machines do it; enter takes one." if machines > 1 else "One machine does it."


def _machine(finder: Finder, name: str) -> Machine | None:
    try:
        return finder.base(name)
    except FitcheckError:
        return None


def _speed(candidate: Candidate) -> float:
    """Just enough comes first: the fastest machines are the dearest."""
    speed = candidate.plan.decode_tokens_per_s
    return speed.expected if speed else 0.0


def _requirement(need: Requirement) -> Row:
    reads = f"{need.bandwidth_bytes_per_s / GB:.0f}" if need.bandwidth_bytes_per_s else UNKNOWN
    cells = (
        Cell(f"{need.format}{' *' if need.needs_native_training else ''}"),
        Cell(f"{need.ram_bytes / GIB:.1f}"),
        Cell(reads),
        Cell(f"{need.weights_per_s / 1e9:.1f}"),
        Cell(need.engine),
    )
    return Row(need.format, cells, "dim" if need.needs_native_training else "plain")


def _candidate(found: Candidate) -> Row:
    row = found.plan
    cells = (
        Cell(found.machine),
        Cell(row.format),
        Cell(f"{row.total_bytes / GIB:.1f}"),
        Cell(speed_text(row.decode_tokens_per_s)),
        Cell(row.decode_bound or UNKNOWN),
    )
    return Row(found.machine, cells)
