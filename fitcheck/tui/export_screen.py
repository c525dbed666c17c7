"""ExportScreen: what to write, and the command line that gives the same plan."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from fitcheck.tui.base_screen import ListDialogue
from fitcheck.tui.exports import EXPORTS


class ExportScreen(ListDialogue[str]):
    """Answers with a key of ``EXPORTS``, or ``command`` to copy the command line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss('command')", "copy"),
        Binding("j", "list(1)", "next", show=False),
        Binding("k", "list(-1)", "previous", show=False),
    ]

    def __init__(self, command: str) -> None:
        super().__init__()
        self._command = command

    def compose(self) -> ComposeResult:
        with Vertical(classes="box") as box:
            box.border_title = "export"
            box.border_subtitle = "enter write, y copy the command, esc back"
            yield Static("the same in a shell:", classes="hint")
            yield Static(self._command, id="command", markup=False)
            options = [
                Option(f"{export.title} ({export.ending}) here", id=kind) for kind, export in EXPORTS.items()
            ]
            yield OptionList(*options, Option("copy the command line", id="command-line"), compact=True)

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        kind = event.option_id or ""
        self.dismiss(kind if kind in EXPORTS else "command")
