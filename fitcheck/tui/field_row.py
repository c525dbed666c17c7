"""FieldRow: one thing to turn. Arrows step it, Enter or a digit types it, ``r`` puts it back."""

from typing import Any, ClassVar

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from fitcheck.errors import FitcheckError
from fitcheck.tui.field import Field, Shown

CHANGED_SIGN = "●"
LABEL_WIDTH = 8


class FieldRow(Widget, can_focus=True):
    """A label, a sign where the value was changed, and the value between two arrows.

    Drawn as one line, so that a new value never moves the widgets around it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h,minus", "step(-1)", "Less", show=False),
        Binding("right,l,plus,equals_sign", "step(1)", "More", show=False),
        Binding("down,j", "app.focus_next", "Next field", show=False),
        Binding("up,k", "app.focus_previous", "Previous field", show=False),
        Binding("enter", "edit", "Type it", show=False),
        Binding("r", "reset", "Reset", show=False),
    ]

    class Changed(Message):
        """A new value for the choice of that name."""

        def __init__(self, key: str, value: Any) -> None:
            super().__init__()
            self.key, self.value = key, value

    class Stepped(Message):
        """One step from the value the plan has when this is handled: keys come faster than paint."""

        def __init__(self, field: Field, direction: int) -> None:
            super().__init__()
            self.field, self.direction = field, direction

    class Opened(Message):
        """The field's value is chosen elsewhere."""

        def __init__(self, field: Field) -> None:
            super().__init__()
            self.field = field

    class Reset(Message):
        """Put the choice back to what nobody touched."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Restored(Changed):
        """The value from before typing began, which Escape brings back."""

    def __init__(self, field: Field, in_line: bool = False) -> None:
        super().__init__(id=f"field-{field.key}", classes="-in-line" if in_line else None)
        self.field = field
        self._chosen: Any = None
        self._before: Any = None
        self._text = ""

    def compose(self) -> ComposeResult:
        box = Input(compact=True, placeholder=self.field.hint, select_on_focus=False)
        box.cursor_blink = False  # a blinking cursor is the only thing that would wake an idle app
        box.display = False
        yield box

    def on_mount(self) -> None:
        self.tooltip = self.field.hint or None

    def show(self, shown: Shown, chosen: Any, changed: bool) -> None:
        """Show the value as the plan has it; ``chosen`` is the choice itself, for Escape to restore."""
        self._chosen = chosen
        if self.display != (there := self.field.when(shown)):
            self.display = there
        text = self.field.show(shown)
        if (text, changed) == (self._text, self.has_class("-changed")):
            return  # most values stay as they are: a key must not repaint them all
        self._text = text
        self.set_class(changed, "-changed")
        self.refresh()

    def render(self) -> Content:
        changed, focused = self.has_class("-changed"), self.has_focus
        room = self.size.width - len(self._label) - 5  # the sign, and two arrows with their blanks
        arrow = "$accent bold" if focused else "$text-disabled"
        return Content.assemble(
            (self._label, "bold" if focused else "$text-muted"),
            (CHANGED_SIGN if changed else " ", "$warning"),
            ("◂ ", arrow),
            (_cut(self._text, room), "$warning bold" if changed else ""),
            (" ▸", arrow),
        )

    @property
    def _label(self) -> str:
        """The label, as wide as the column of labels where the fields stand in one."""
        return f"{self.field.label} " if self.has_class("-in-line") else f"{self.field.label:<{LABEL_WIDTH}}"

    def action_step(self, direction: int) -> None:
        self.post_message(self.Stepped(self.field, direction))

    def action_reset(self) -> None:
        self.post_message(self.Reset(self.field.key))

    def action_edit(self, start: str = "") -> None:
        """Type a value; what can't be typed is stepped instead."""
        if self.field.opens:
            self.post_message(self.Opened(self.field))
            return
        if self.field.parse is None:
            self.action_step(1)
            return
        self._before = self._chosen
        self._editing(True)
        box = self.query_one(Input)
        box.value = start
        box.cursor_position = len(start)
        self.screen.set_focus(box)  # at once: the next key belongs to the box already

    def on_key(self, event: events.Key) -> None:
        typed = event.character if event.is_printable else None
        if typed and typed.isdigit() and not self.editing:
            event.stop()
            self.action_edit(typed)
        elif event.key == "escape" and self.editing:
            event.stop()
            self.post_message(self.Restored(self.field.key, self._before))
            self._done()

    def on_click(self, event: events.Click) -> None:
        """The arrows step; two clicks elsewhere begin to type."""
        left = len(self._label) + 1
        right = min(left + 2 + cell_len(self._text), self.size.width - 2)
        if event.x in (left, left + 1):
            self.action_step(-1)
        elif event.x in (right, right + 1):
            self.action_step(1)
        elif event.chain > 1 and not self.editing:
            self.action_edit()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Re-plan at each key that leaves a value; what is no value yet is marked."""
        event.stop()
        if not self.editing or not event.value:
            return
        try:
            value = self.field.parse(event.value) if self.field.parse else None
        except FitcheckError:
            self.add_class("-wrong")
            return
        self.remove_class("-wrong")
        self.post_message(self.Changed(self.field.key, value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self.has_class("-wrong"):
            self.notify(self.field.hint, title=f"that is no {self.field.label}", severity="warning")
        else:
            self._done()

    def on_input_blurred(self) -> None:
        """Leaving by Tab or the mouse keeps what was last a value."""
        self._editing(False)

    @property
    def editing(self) -> bool:
        return self.query_one(Input).display

    def _done(self) -> None:
        self._editing(False)
        self.screen.set_focus(self)

    def _editing(self, on: bool) -> None:
        self.query_one(Input).display = on
        self.remove_class("-wrong")
        self.refresh()


def _cut(text: str, width: int) -> str:
    """What has room of it, so that the arrow behind it stays."""
    return text if cell_len(text) <= width else text[: max(width - 1, 0)] + "…"
