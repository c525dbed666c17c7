"""FitcheckApp: holds the choices and the one Plan that every widget shows; re-plans when a choice changes."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.screen import Screen as BaseTextualScreen

from fitcheck.errors import FitcheckError
from fitcheck.schema.plan import FormatPlan, Plan
from fitcheck.tui.choices import Choices
from fitcheck.tui.command_line import command_line
from fitcheck.tui.config import DARK, LIGHT, Settings, load_settings, save_settings
from fitcheck.tui.exports import EXPORTS, Screen, write_new
from fitcheck.tui.field import Shown
from fitcheck.tui.field_row import FieldRow
from fitcheck.tui.format_facts import flags_text
from fitcheck.tui.format_table import SORTS
from fitcheck.tui.key_queue import KeyQueue
from fitcheck.tui.latest import Latest
from fitcheck.tui.main_screen import MainScreen
from fitcheck.tui.plot import Mark
from fitcheck.tui.world import Finder, Question, World
from fitcheck.units import GIB, gib

# For a machine of the catalogue whose memory nobody knows: something to start turning from.
_ASSUMED_RAM = 16 * GIB

_WIDTHS = [(0, "-narrow"), (100, "-normal"), (180, "-wide")]
_HEIGHTS = [(0, "-low"), (20, "-short"), (32, "-tall")]

STYLES = Path(__file__).parent / "styles"


class FitcheckApp(App[None]):
    """The question, its answer, and the screens around them."""

    TITLE = "fitcheck"
    CSS_PATH = sorted(STYLES.glob("*.tcss"))
    HORIZONTAL_BREAKPOINTS = _WIDTHS
    VERTICAL_BREAKPOINTS = _HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "toggle_light", "light/dark", show=False),
        Binding("question_mark,f1", "push('help')", "help", key_display="?"),
        Binding("q", "quit", "quit"),
    ]

    # Without repaint: an app's own reactive would draw the whole screen anew; widgets draw what changed.
    plan: reactive[Plan | None] = reactive(None, init=False, repaint=False)
    asked: reactive[Question | None] = reactive(None, init=False, repaint=False)
    """The newest question; where cards are planned for, its answer takes a moment."""
    problem: reactive[str] = reactive("", init=False, repaint=False)
    picked: reactive[str | None] = reactive(None, init=False, repaint=False)
    """The format a person moved to; None follows the best one."""

    def __init__(self, world: World, choices: Choices | None = None) -> None:
        super().__init__()
        self.world = world
        self.finder = Finder(world)
        self.settings, self._notice = load_settings(world.config_directory)
        if self.settings.sort not in SORTS:
            self.settings = replace(self.settings, sort=Settings().sort)
        self.choices = choices or self.settings.choices
        self.question: Question | None = None  # the one that ``plan`` answers
        self._answered = self.choices
        self._planning: Latest[Plan | FitcheckError] = Latest(self)
        self._keys = KeyQueue(self, super().on_event)
        self.marks: dict[tuple[str, str], list[Mark]] = {}  # measured speeds of a model in a format
        self.theme = self.settings.theme if self.settings.theme in self.available_themes else DARK

    def get_default_screen(self) -> MainScreen:
        # With the classes of its size from the start: breakpoints come with the first resize, a paint later.
        return MainScreen(classes=" ".join((_at(self.size.width, _WIDTHS), _at(self.size.height, _HEIGHTS))))

    def notify(self, message: str, *, markup: bool = False, **how: Any) -> None:
        """Plain text whatever is in it: paths and names may hold brackets."""
        super().notify(message, markup=False, **how)

    def get_system_commands(self, screen: BaseTextualScreen[Any]) -> Iterable[SystemCommand]:
        from fitcheck.tui.palette import commands  # noqa: PLC0415 (when first wanted)

        return commands(self, screen, super().get_system_commands(screen))

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded:
            await self._keys.put(event)
        else:
            await super().on_event(event)

    def on_mount(self) -> None:
        if not self.ask(self.choices, wait=True):
            self._start_over()
        if self._notice:
            self.notify(self._notice, severity="warning", timeout=10)

    def _start_over(self) -> None:
        """What was remembered or asked for leads nowhere: say so, and start from this machine."""
        self.notify(self.problem, severity="warning", timeout=10)
        if not self.ask(Choices(), wait=True):
            self.ask(Choices(ram_bytes=_ASSUMED_RAM), wait=True)

    def ask(self, choices: Choices, wait: bool = False) -> bool:
        """Plan for these choices. Where they can't be answered the last answer stays, with the reason.

        What takes longer than a frame is planned beside the interface unless it
        must ``wait``: the fields show the new values, the rest follows.
        """
        try:
            question = self.finder.question(choices)
        except FitcheckError as error:
            self._refuse(error)
            return False
        self.choices, self.asked = choices, question
        if question.slow and not wait:
            self._planning.ask(question.answer, lambda answer: self._take(choices, question, answer))
            return True
        self._planning.drop()
        return self._take(choices, question, question.answer())

    def _take(self, choices: Choices, question: Question, answer: Plan | FitcheckError) -> bool:
        """An answer has come: show it, or go back to the last one and say why."""
        if isinstance(answer, Plan):
            self.problem = ""
            self._answered, self.question = choices, question
            self.plan = answer
        elif not self._planning.pending:
            self.choices, self.asked = self._answered, self.question
            self._refuse(answer)
        return isinstance(answer, Plan)

    def _refuse(self, error: FitcheckError) -> None:
        self.problem = f"{error.message}; {error.remedy}"

    @property
    def shown(self) -> Shown | None:
        """What fields show."""
        return Shown(self.choices, self.asked, self.plan) if self.asked and self.plan else None

    @property
    def row(self) -> FormatPlan | None:
        """The selected format: the one a person moved to, else the best, else the smallest."""
        if self.plan is None:
            return None
        by_name = {row.format: row for row in self.plan.plans}
        smallest = min(self.plan.plans, key=lambda row: row.total_bytes)
        return by_name.get(self.picked or "") or by_name.get(self.plan.best or "") or smallest

    def choose_model(self, text: str) -> bool:
        """Another model; a context it can't take is given back to the planner."""
        choices = self.choices.put("model", text)
        try:
            longest = self.finder.resolution(text).model.context_max
        except FitcheckError:
            longest = None
        if longest and choices.context and choices.context > longest:
            choices = choices.without("context")
            self.notify(f"{text} has a context of at most {longest} tokens")
        if found := self.ask(choices):
            self.picked = None
        return found

    def choose_machine(self, name: str | None) -> None:
        choices = self.choices.on_machine(name)
        machine = self.finder.base(name)
        if machine.ram_bytes is None and not machine.gpus:
            choices = choices.put("ram_bytes", _ASSUMED_RAM)
            self.notify(f"the memory of {name} is unknown: {gib(_ASSUMED_RAM, 0)} assumed")
        self.ask(choices)

    def toggle_favourite(self, model: str) -> None:
        kept = tuple(name for name in self.settings.favourites if name != model)
        added = kept if model in self.settings.favourites else (*kept, model)
        self.settings = replace(self.settings, favourites=added)

    def marks_of(self, plan: Plan, row: FormatPlan) -> Sequence[Mark]:
        """Measured speeds that the plot's prediction is about: of this machine, one sequence at a time."""
        same = self.choices.on_machine_as_found and plan.request.batch == 1
        return self.marks.get((plan.model.name, row.format), ()) if same else ()

    def measured(self, model: str, format_name: str, mark: Mark) -> None:
        """Keep a measured speed, to be drawn beside the prediction."""
        self.marks.setdefault((model, format_name), []).append(mark)
        self.picked = format_name
        self.mutate_reactive(FitcheckApp.plan)

    def on_field_row_changed(self, message: FieldRow.Changed) -> None:
        self.ask(self.choices.put(message.key, message.value))

    async def on_field_row_stepped(self, message: FieldRow.Stepped) -> None:
        if (shown := self.shown) is None:
            return
        value = message.field.step(shown, message.direction)
        if value is None and message.field.opens:
            await self.on_field_row_opened(message)
        else:
            self.ask(self.choices.put(message.field.key, value))

    async def on_field_row_opened(self, message: FieldRow.Opened | FieldRow.Stepped) -> None:
        await self.screen.run_action(message.field.opens)

    def on_field_row_restored(self, message: FieldRow.Restored) -> None:
        self.ask(self.choices.put(message.key, message.value))

    def on_field_row_reset(self, message: FieldRow.Reset) -> None:
        self.ask(self.choices.without(message.key))

    def action_push(self, name: str) -> None:
        """Open one of the other screens. They are imported when they are first wanted."""
        from fitcheck.tui.screens import make_screen  # noqa: PLC0415 (first paint must not wait for them)

        if self.plan is not None:
            self.push_screen(make_screen(name))

    def action_export(self) -> None:
        from fitcheck.tui.export_screen import ExportScreen  # noqa: PLC0415

        if self.plan is not None:
            self.push_screen(ExportScreen(self.command), self._export)

    def _export(self, kind: str | None) -> None:
        """Write what was chosen, once the screen under the dialogue is drawn again."""
        if kind == "command":
            self.action_copy()
        elif kind:
            self.call_after_refresh(self._write, kind)

    def _write(self, kind: str) -> None:
        if self.plan is None:
            return
        export = EXPORTS[kind]
        screen = Screen(self.plan, self.command, self.export_screenshot)
        try:
            path = write_new(
                Path.cwd(), f"fitcheck-{self.plan.model.name}", export.ending, export.make(screen)
            )
        except OSError as error:
            self.notify(f"it can't be written: {error.strerror}", severity="error")
            return
        except FitcheckError as error:
            self.notify(f"{error.message}; {error.remedy}", severity="warning", timeout=10)
            return
        self.notify(str(path), title=f"{export.title} written")

    @property
    def command(self) -> str:
        """The command line that gives this plan."""
        return command_line(self.choices)

    def action_copy(self) -> None:
        """Copy through the terminal itself (OSC 52), which works over SSH as well."""
        self.copy_to_clipboard(self.command)
        self.notify(self.command, title="copied")

    def action_copy_flags(self) -> None:
        """What to tell the engine to get the selected format's plan."""
        flags = flags_text(self.row) if self.row else ""
        if flags:
            self.copy_to_clipboard(flags)
        self.notify(flags or "nobody looked up this engine's options", title="copied" if flags else "")

    def action_toggle_light(self) -> None:
        self.theme = DARK if self.theme == LIGHT else LIGHT

    def remember(self, **changes: Any) -> None:
        """Keep how a person likes to look at it; written when the app ends."""
        self.settings = replace(self.settings, **changes)

    async def action_quit(self) -> None:
        self.save()
        self.exit()

    def save(self) -> None:
        settings = replace(self.settings, choices=self.choices, theme=self.theme)
        if notice := save_settings(settings, self.world.config_directory):
            self.log.warning(notice)


def _at(size: int, breakpoints: list[tuple[int, str]]) -> str:
    """The class of the last breakpoint that the size reaches."""
    return [name for least, name in breakpoints if least <= size][-1]
