"""MeasureScreen: probe, bench and verify from inside, with progress and cancel."""

from collections.abc import Sequence
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, ProgressBar, Static
from textual.widgets.option_list import Option

from fitcheck.errors import FitcheckError
from fitcheck.tui.base_screen import ListDialogue, is_open
from fitcheck.tui.jobs import Cancel, Cancelled, Job, Outcome

_WIDTH = 28


class MeasureScreen(ListDialogue[None]):
    """Pick what to measure. Escape cancels what runs, and leaves where nothing does."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel"),
        Binding("j", "list(1)", "next", show=False),
        Binding("k", "list(-1)", "previous", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._jobs: Sequence[Job] = ()
        self._cancel: Cancel | None = None

    def compose(self) -> ComposeResult:
        app = self.fitcheck
        if app.question is not None and app.row is not None:
            self._jobs = app.world.jobs(app.question, app.row, app.finder.here)
        with Vertical(classes="box") as box:
            box.border_title = "measure this machine"
            box.border_subtitle = "enter run, esc cancel or back"
            yield OptionList(
                *(Option(f"{job.title}: {job.about}") for job in self._jobs), compact=True, markup=False
            )
            yield ProgressBar(total=1.0, show_eta=False)
            yield Static("", id="measure-result")

    def on_mount(self) -> None:
        self.query_one(ProgressBar).display = False
        self.query_one(OptionList).focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        if self._cancel is None:
            job = self._jobs[event.option_index]
            self._cancel = Cancel(lambda share: self.app.call_from_thread(self._tell, share))
            self._show_progress(True)
            self._say(Content.styled(f"{job.title} runs …", "$text-muted"))
            self._run(job, self._cancel)

    def action_cancel(self) -> None:
        if self._cancel is None:
            self.dismiss(None)
        else:
            self._say(Content.styled("stopping …", "$text-muted"))
            self._cancel.ask()

    @work(thread=True, exclusive=True)
    def _run(self, job: Job, cancel: Cancel) -> None:
        """The measurement beside the interface; whatever ends it is shown."""
        try:
            outcome = job.run(cancel)
        except Cancelled:
            self.app.call_from_thread(self._end, Content("cancelled: nothing was kept"), None)
        except (FitcheckError, OSError) as error:
            remedy = f"; {error.remedy}" if isinstance(error, FitcheckError) else ""
            self.app.call_from_thread(self._end, Content.styled(f"{error}{remedy}", "$text-error"), None)
        else:
            self.app.call_from_thread(self._end, _lines(outcome), outcome)

    def _tell(self, share: float) -> None:
        if is_open(self):
            self.query_one(ProgressBar).progress = share

    def _end(self, words: Content, outcome: Outcome | None) -> None:
        self._cancel = None
        if outcome is not None:
            self._keep(outcome)
        if is_open(self):
            self._show_progress(False)
            self._say(words)

    def _keep(self, outcome: Outcome) -> None:
        """Plan again with what is now known of this machine; draw what was measured."""
        app = self.fitcheck
        if outcome.machine is not None:
            app.finder.here = outcome.machine
            app.ask(app.choices)
        if outcome.measured is not None:
            app.measured(*outcome.measured)
            if not app.choices.on_machine_as_found:
                self.notify("the plot is of a changed machine; reset it with R to see the two together")

    def _show_progress(self, on: bool) -> None:
        bar = self.query_one(ProgressBar)
        bar.progress = 0.0
        bar.display = on

    def _say(self, words: Content) -> None:
        self.query_one("#measure-result", Static).update(words)


def _lines(outcome: Outcome) -> Content:
    return Content("\n").join(
        Content.assemble((f"{label:<{_WIDTH}}", "$text-muted"), (text, "bold"))
        for label, text in outcome.lines
    )
