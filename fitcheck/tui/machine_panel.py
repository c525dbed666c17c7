"""MachinePanel: the machine, field by field."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from fitcheck.schema.machine import Machine
from fitcheck.schema.plan import Plan
from fitcheck.tui.field import Shown
from fitcheck.tui.field_row import CHANGED_SIGN, FieldRow
from fitcheck.tui.fields import MACHINE_FIELDS
from fitcheck.tui.memory_parts import device_label
from fitcheck.units import gb_per_s, gib

THIS_MACHINE = "this machine"


class MachineName(Static, can_focus=True):
    """Whose fields these are; Enter picks another."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,right,l", "screen.pick_machine", "Pick a machine", show=False),
        Binding("down,j", "app.focus_next", "Next field", show=False),
        Binding("up,k", "app.focus_previous", "Previous field", show=False),
    ]

    class Clicked(Message):
        """A click asks for another machine too."""

    def on_click(self) -> None:
        self.post_message(self.Clicked())


class MachinePanel(Vertical):
    """The machine's name, its fields, and what can't be turned."""

    def __init__(self) -> None:
        super().__init__(id="machine")

    def compose(self) -> ComposeResult:
        yield MachineName("", id="machine-name", markup=False)
        for field in MACHINE_FIELDS:
            yield FieldRow(field)
        yield Static("", id="machine-facts", markup=False)

    def show(self, shown: Shown) -> None:
        choices = shown.choices
        changed = any(choices.changed(field.key) for field in MACHINE_FIELDS)
        name = choices.machine or THIS_MACHINE
        sign = f"{CHANGED_SIGN} " if changed else ""
        self.query_one("#machine-name", Static).update(f"{name} {sign}▾", layout=False)
        for row in self.query(FieldRow):
            row.show(shown, getattr(choices, row.field.key), choices.changed(row.field.key))
        self.query_one("#machine-facts", Static).update(
            _facts(shown.question.machine, shown.plan), layout=False
        )


def _facts(machine: Machine, plan: Plan) -> str:
    """What is known of the machine beside its fields, a line each."""
    lines = [machine.cpu] if machine.cpu else []
    if machine.peak_bandwidth_bytes_per_s:
        lines.append(f"memory peak {gb_per_s(machine.peak_bandwidth_bytes_per_s)}")
    lines.append(f"for the model: {_rooms(plan)}")
    return "\n".join((*lines, *plan.machine.notes))


def _rooms(plan: Plan) -> str:
    """What each device leaves to a model."""
    machine = plan.machine
    ram = [gib(machine.usable_bytes)] if machine.ram_bytes or not machine.cards else []
    return ", ".join(
        (*ram, *(f"{gib(card.usable_bytes)} on {device_label(card.name)}" for card in machine.cards))
    )
