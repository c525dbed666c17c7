"""MemoryBar: where the memory goes, against the budget, one part beside the other."""

from typing import ClassVar, NamedTuple

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from fitcheck.schema.plan import FormatPlan, Plan
from fitcheck.units import GIB, gib


class Part(NamedTuple):
    """A segment: its name, its sign (colour alone would not do), its colour and its bytes."""

    name: str
    sign: str
    style: str
    bytes: int


def parts_of(plan: Plan, row: FormatPlan) -> tuple[Part, ...]:
    """What a format takes and what the system keeps, in the order they are drawn."""
    return (
        Part("weights", "█", "$primary", row.weights_bytes),
        Part("kv", "▓", "$secondary", row.kv_bytes),
        Part("compute", "▒", "$accent", row.compute_bytes),
        Part("runtime", "░", "$warning", row.runtime_bytes),
        Part("reserve", "╱", "$text-muted", plan.machine.reserve_bytes),
    )


def _memory_of(plan: Plan) -> int:
    """All memory there is; beside RAM, what cards leave to a model."""
    machine = plan.machine
    if machine.ram_bytes is None and machine.cards:
        return sum(card.memory_bytes for card in machine.cards)
    return machine.usable_bytes + machine.reserve_bytes + sum(card.usable_bytes for card in machine.cards)


class MemoryBar(Widget, can_focus=True):
    """A stacked bar with its legend. Arrows pick a part, Enter explains it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "pick(-1)", "Part", show=False),
        Binding("right,l", "pick(1)", "Part", show=False),
        Binding("enter", "explain", "Explain", show=False),
        Binding("down,j", "app.focus_next", "Next", show=False),
        Binding("up,k", "app.focus_previous", "Previous", show=False),
    ]

    picked: reactive[int] = reactive(0)

    class Explained(Message):
        """Which part to take apart."""

        def __init__(self, part: str) -> None:
            super().__init__()
            self.part = part

    def __init__(self) -> None:
        super().__init__(id="memory")
        self._parts: tuple[Part, ...] = ()
        self._memory = 0  # bytes the bar's whole length stands for, unless the parts need more
        self._taken = 0

    def show(self, plan: Plan, row: FormatPlan) -> None:
        before = len(self._legend(self.size.width))
        self._parts = parts_of(plan, row)
        self._memory = _memory_of(plan)
        self._taken = sum(part.bytes for part in self._parts)
        self.border_title = self._title(row.format)
        self.refresh(layout=len(self._legend(self.size.width)) != before)

    def render(self) -> Content:
        if not self._parts:
            return Content("")
        return Content("\n").join((self._bar(self.size.width), *self._legend(self.size.width)))

    def action_pick(self, by: int) -> None:
        self.picked = (self.picked + by) % max(len(self._parts), 1)

    def action_explain(self) -> None:
        if self._parts:
            self.post_message(self.Explained(self._parts[self.picked].name))

    def on_click(self, event: events.Click) -> None:
        x = event.get_content_offset_capture(self).x
        for index, width in enumerate(self._widths(self.size.width)):
            if x < width:
                self.picked = index
                self.action_explain()
                return
            x -= width

    def _widths(self, room: int) -> list[int]:
        """Cells of each part; what is not nothing gets one at least, and the rounding goes to the largest."""
        whole = max(self._memory, self._taken, 1)
        widths = [max(1, round(part.bytes / whole * room)) if part.bytes else 0 for part in self._parts]
        most = room if self._taken >= self._memory else max(room - 1, round(self._taken / whole * room))
        largest = max(range(len(widths)), key=lambda index: widths[index])
        widths[largest] -= max(0, sum(widths) - most)
        return widths

    def _bar(self, room: int) -> Content:
        widths = self._widths(room)
        runs = [
            (part.sign * width, f"{part.style} reverse" if self._is_picked(index) else part.style)
            for index, (part, width) in enumerate(zip(self._parts, widths, strict=True))
        ]
        bar = Content.assemble(*runs, ("·" * (room - sum(widths)), "$text-disabled"))
        return bar if self._taken <= self._memory else self._with_edge(bar, room)

    def _with_edge(self, bar: Content, room: int) -> Content:
        """A line through the bar where the memory ends."""
        edge = min(room - 1, max(0, round(self._memory / self._taken * room)))
        return bar[:edge] + Content.styled("┃", "$error bold") + bar[edge + 1 :]

    def _legend(self, room: int) -> list[Content]:
        """Signs, names and sizes, on as many lines as they need."""
        lines = [Content("")]
        for index, part in enumerate(self._parts):
            style = "bold underline" if self._is_picked(index) else ""
            entry = Content.assemble(
                (part.sign, part.style), " ", (f"{part.name} {_size(part.bytes)}", style), "  "
            )
            if lines[-1] and lines[-1].cell_length + entry.cell_length > room:
                lines.append(Content(""))
            lines[-1] += entry
        return lines

    def _title(self, format_name: str) -> str:
        spare = self._memory - self._taken
        end = f"{gib(spare)} free" if spare >= 0 else f"{gib(-spare)} over ┃"
        return f"{format_name}: {gib(self._taken)} of {gib(self._memory)}, {end}"

    def _is_picked(self, index: int) -> bool:
        return self.has_focus and index == self.picked


def _size(size: int) -> str:
    return f"{size / GIB:.2f}" if size < GIB else f"{size / GIB:.1f}"
