"""MemoryBar: where the memory goes, against each device's budget, one part beside the other."""

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from fitcheck.schema.plan import FormatPlan, Plan
from fitcheck.tui.memory_parts import Bar, bars_of, device_label, total_of
from fitcheck.units import GIB, gib

_MOST_LABEL = 18  # columns for the name of a device beside its bar


class MemoryBar(Widget, can_focus=True):
    """A stacked bar a device with their legend. Arrows pick a part, Enter explains it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "pick(-1)", "Part", show=False),
        Binding("right,l", "pick(1)", "Part", show=False),
        Binding("enter", "explain", "Explain", show=False),
        Binding("down,j", "app.focus_next", "Next", show=False),
        Binding("up,k", "app.focus_previous", "Previous", show=False),
    ]

    picked: reactive[int] = reactive(0)
    """The part under the cursor, counted through all devices."""

    class Explained(Message):
        """Which part to take apart, and on which device where there are several."""

        def __init__(self, part: str, device: str) -> None:
            super().__init__()
            self.part, self.device = part, device

    def __init__(self) -> None:
        super().__init__(id="memory")
        self._bars: tuple[Bar, ...] = ()

    def show(self, plan: Plan, row: FormatPlan) -> None:
        before = self._lines
        self._bars = bars_of(plan, row)
        self.picked = min(self.picked, len(self._segments) - 1)
        self.border_title = self._title(row.format)
        self.refresh(layout=self._lines != before)

    @property
    def devices(self) -> int:
        return len(self._bars)

    @property
    def _lines(self) -> int:
        return len(self._bars) + len(self._legend(self.size.width)) if self._bars else 0

    @property
    def _segments(self) -> list[tuple[int, int]]:
        """Each part by the numbers of its device and of itself."""
        return [(d, p) for d, bar in enumerate(self._bars) for p in range(len(bar.parts))]

    def render(self) -> Content:
        if not self._bars:
            return Content("")
        width = self.size.width
        return Content("\n").join((*map(self._line, range(len(self._bars))), *self._legend(width)))

    def action_pick(self, by: int) -> None:
        self.picked = (self.picked + by) % max(len(self._segments), 1)

    def action_explain(self) -> None:
        if self._bars:
            device, part = self._segments[self.picked]
            bar = self._bars[device]
            self.post_message(self.Explained(bar.parts[part].name, bar.device if len(self._bars) > 1 else ""))

    def on_click(self, event: events.Click) -> None:
        at = event.get_content_offset_capture(self)
        if at.y >= len(self._bars):
            return
        x = at.x - self._label_width
        for index, width in enumerate(_widths(self._bars[at.y], self._room)):
            if 0 <= x < width:
                self.picked = self._segments.index((at.y, index))
                self.action_explain()
                return
            x -= width

    @property
    def _label_width(self) -> int:
        """Room for the names of devices, where there are several."""
        longest = max(len(device_label(bar.device)) for bar in self._bars) + 1
        return min(longest, _MOST_LABEL) if len(self._bars) > 1 else 0

    @property
    def _told(self) -> list[str]:
        """What stands behind each bar: what is taken, and of how much."""
        if len(self._bars) < 2:
            return [""] * len(self._bars)
        told = [f"{bar.taken_bytes / GIB:.1f}/{bar.memory_bytes / GIB:.0f}" for bar in self._bars]
        return [f" {text:>{max(map(len, told))}}" for text in told]

    @property
    def _room(self) -> int:
        """Cells of a bar itself."""
        return max(1, self.size.width - self._label_width - max(map(len, self._told)))

    def _line(self, number: int) -> Content:
        """A device: its name, its bar, its figures."""
        width = self._label_width
        bar, room = self._bars[number], self._room
        label = device_label(bar.device)[-(width - 1) :] if width else ""
        return Content.assemble(
            (f"{label:<{width}}", "$text-muted"), self._bar(number, bar, room), (self._told[number], "")
        )

    def _bar(self, number: int, bar: Bar, room: int) -> Content:
        widths = _widths(bar, room)
        runs = [
            (part.sign * width, f"{part.style} reverse" if self._is_picked(number, index) else part.style)
            for index, (part, width) in enumerate(zip(bar.parts, widths, strict=True))
        ]
        drawn = Content.assemble(*runs, ("·" * (room - sum(widths)), "$text-disabled"))
        return drawn if bar.taken_bytes <= bar.memory_bytes else _with_edge(bar, drawn, room)

    def _legend(self, room: int) -> list[Content]:
        """Signs, names and sizes, on as many lines as they need: of the picked device, else of all."""
        device = self._segments[self.picked][0] if self.has_focus else None
        parts = total_of(self._bars) if device is None else self._bars[device].parts
        lines = [Content("")]
        for index, part in enumerate(parts):
            style = "bold underline" if device is not None and self._is_picked(device, index) else ""
            entry = Content.assemble(
                (part.sign, part.style), " ", (f"{part.name} {_size(part.bytes)}", style), "  "
            )
            if lines[-1] and lines[-1].cell_length + entry.cell_length > room:
                lines.append(Content(""))
            lines[-1] += entry
        return lines

    def _title(self, format_name: str) -> str:
        """All that is taken, and what is left on the device that has least."""
        taken = sum(bar.taken_bytes for bar in self._bars)
        memory = sum(bar.memory_bytes for bar in self._bars)
        spare, fullest = min(
            (bar.memory_bytes - bar.taken_bytes, device_label(bar.device)) for bar in self._bars
        )
        on = f" on {fullest}" if len(self._bars) > 1 else ""
        end = f"{gib(spare)} free{on}" if spare >= 0 else f"{gib(-spare)} over{on} ┃"
        return f"{format_name}: {gib(taken)} of {gib(memory)}, {end}"

    def _is_picked(self, device: int, part: int) -> bool:
        return self.has_focus and self._segments[self.picked] == (device, part)


def _widths(bar: Bar, room: int) -> list[int]:
    """Cells of each part; what is not nothing gets one at least, and the rounding goes to the largest."""
    whole = max(bar.memory_bytes, bar.taken_bytes, 1)
    widths = [max(1, round(part.bytes / whole * room)) if part.bytes else 0 for part in bar.parts]
    full = bar.taken_bytes >= bar.memory_bytes
    most = room if full else max(room - 1, round(bar.taken_bytes / whole * room))
    largest = max(range(len(widths)), key=lambda index: widths[index])
    widths[largest] -= max(0, sum(widths) - most)
    return widths


def _with_edge(bar: Bar, drawn: Content, room: int) -> Content:
    """A line through the bar where the memory ends."""
    edge = min(room - 1, max(0, round(bar.memory_bytes / bar.taken_bytes * room)))
    return drawn[:edge] + Content.styled("┃", "$error bold") + drawn[edge + 1 :]


def _size(size: int) -> str:
    return f"{size / GIB:.2f}" if size < GIB else f"{size / GIB:.1f}"
