"""What every screen shares: the app as what it is, and a way back."""

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, Screen
from textual.widgets import OptionList

if TYPE_CHECKING:
    from fitcheck.tui.app import FitcheckApp

Result = TypeVar("Result")

REPAINT_S = 0.15  # how often a table grows while a worker fills it


def is_open(screen: Screen[Any]) -> bool:
    """Whether it is still on the stack: a worker's answer may come while it is being taken apart."""
    return screen in screen.app.screen_stack


class BaseScreen(Screen[None]):
    """A screen over the main one."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "back")]

    @property
    def fitcheck(self) -> "FitcheckApp":
        return cast("FitcheckApp", self.app)

    def action_leave(self) -> None:
        self.dismiss(None)


class Dialogue(ModalScreen[Result | None]):
    """A box over the screen; Escape leaves it without a result."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "back")]

    @property
    def fitcheck(self) -> "FitcheckApp":
        return cast("FitcheckApp", self.app)

    def action_leave(self) -> None:
        self.dismiss(None)


class ListDialogue(Dialogue[Result]):
    """A box with one list in it; ``list(1)`` and ``list(-1)`` step through."""

    def action_list(self, by: int) -> None:
        options = self.query_one(OptionList)
        if by > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()
