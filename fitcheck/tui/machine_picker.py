"""MachinePicker: this machine, or any of the catalogue; type to filter."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from fitcheck.sources.matching import matches
from fitcheck.tui.base_screen import ListDialogue
from fitcheck.tui.machine_panel import THIS_MACHINE

THIS = ""
"""What stands for the machine fitcheck runs on."""


class MachinePicker(ListDialogue[str]):
    """Answers with a machine's name, or ``THIS``; None where nobody chose."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "list(1)", "next", show=False, priority=True),
        Binding("up", "list(-1)", "previous", show=False, priority=True),
    ]

    def __init__(self, current: str | None, offer_this: bool = True) -> None:
        super().__init__()
        self._current = current
        self._first = [THIS] if offer_this else []
        self._found: list[str] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="box -high") as box:
            box.border_title = "machine"
            yield Input(compact=True, placeholder="type to filter: 7950x, m4-max, epyc", classes="filter")
            yield OptionList(compact=True, markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).cursor_blink = False
        self.query_one(OptionList).can_focus = False
        self._filter("")

    def on_input_changed(self, event: Input.Changed) -> None:
        self._filter(event.value)

    def _filter(self, text: str) -> None:
        names = [match.name for match in matches(text, self.fitcheck.world.machine_names)]
        self._found = [*self._first, *names] if not text.strip() else [*names, *self._first]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(name or THIS_MACHINE) for name in self._found])
        current = self._current or THIS
        start = self._found.index(current) if not text and current in self._found else 0
        options.highlighted = start if self._found else None

    def on_input_submitted(self) -> None:
        index = self.query_one(OptionList).highlighted
        if index is not None:
            self.dismiss(self._found[index])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._found[event.option_index])
