"""Pick one of many names: a machine or a graphics card; type to filter."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from fitcheck.sources.matching import matches
from fitcheck.tui.base_screen import ListDialogue
from fitcheck.tui.machine_panel import THIS_MACHINE
from fitcheck.units import gib

THIS = ""
"""What stands for the machine fitcheck runs on, and for no card."""


class Picker(ListDialogue[str]):
    """Answers with a name, or ``THIS`` for the option that stands first; None where nobody chose."""

    WHAT, HINT = "", ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "list(1)", "next", show=False, priority=True),
        Binding("up", "list(-1)", "previous", show=False, priority=True),
    ]

    def __init__(self, current: str | None) -> None:
        super().__init__()
        self._current = current or THIS
        self._found: list[str] = []

    def names(self) -> Sequence[str]:
        """What there is to pick from."""
        raise NotImplementedError

    def label(self, name: str) -> str:
        """How a name stands in the list."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        with Vertical(classes="box -high") as box:
            box.border_title = self.WHAT
            yield Input(compact=True, placeholder=self.HINT, classes="filter")
            yield OptionList(compact=True, markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).cursor_blink = False
        self.query_one(OptionList).can_focus = False
        self._filter("")

    def on_input_changed(self, event: Input.Changed) -> None:
        self._filter(event.value)

    def _filter(self, text: str) -> None:
        names = [match.name for match in matches(text, self.names())]
        self._found = [THIS, *names] if not text.strip() else [*names, THIS]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(self.label(name)) for name in self._found])
        start = self._found.index(self._current) if not text and self._current in self._found else 0
        options.highlighted = start if self._found else None

    def on_input_submitted(self) -> None:
        index = self.query_one(OptionList).highlighted
        if index is not None:
            self.dismiss(self._found[index])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._found[event.option_index])


class MachinePicker(Picker):
    """The machine fitcheck runs on, or any of the catalogue."""

    WHAT, HINT = "machine", "type to filter: 7950x, m4-max, epyc"

    def names(self) -> Sequence[str]:
        return self.fitcheck.world.machine_names

    def label(self, name: str) -> str:
        return name or THIS_MACHINE


class CardPicker(Picker):
    """No card, or any of the catalogue, each with its memory."""

    WHAT, HINT = "graphics card", "type to filter: 3090, rx 7900, h100"

    def names(self) -> Sequence[str]:
        return tuple(self.fitcheck.finder.cards)

    def label(self, name: str) -> str:
        return f"{name:<32}{gib(self.fitcheck.finder.cards[name], 0):>8}" if name else "no graphics card"
