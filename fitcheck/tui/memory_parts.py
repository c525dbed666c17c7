"""What a format takes of each device, as the parts of a bar."""

from dataclasses import dataclass
from typing import NamedTuple

from fitcheck.schema.plan import RAM, DeviceUse, FormatPlan, Holding, MachineSummary, Plan
from fitcheck.units import gib


class Part(NamedTuple):
    """A segment: its name, its sign (colour alone would not do), its colour and its bytes."""

    name: str
    sign: str
    style: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Bar:
    """One device's memory and what is in it."""

    device: str
    parts: tuple[Part, ...]
    memory_bytes: int  # all there is of it

    @property
    def taken_bytes(self) -> int:
        return sum(part.bytes for part in self.parts)


_LOOKS = {
    "weights": ("█", "$primary"),
    "kv": ("▓", "$secondary"),
    "compute": ("▒", "$accent"),
    "runtime": ("░", "$warning"),
    "reserve": ("╱", "$text-muted"),
}
_MAKERS = ("NVIDIA GeForce ", "NVIDIA ", "AMD Radeon ", "AMD ", "Intel ")
PART_OF: dict[Holding, str] = {
    "weights": "weights",
    "repacked copy": "weights",
    "kv cache": "kv",
    "recurrent state": "kv",
    "compute buffer": "compute",
    "output buffer": "compute",
    "runtime": "runtime",
}


def bars_of(plan: Plan, row: FormatPlan) -> tuple[Bar, ...]:
    """A bar for each device that takes part, RAM first."""
    uses = row.placement.devices if row.placement else ()
    if len(uses) > 1:
        return tuple(_device_bar(plan, row, use) for use in sorted(uses, key=lambda use: use.kind != "ram"))
    name = uses[0].name if uses else RAM
    sizes = (row.weights_bytes, row.kv_bytes, row.compute_bytes, row.runtime_bytes)
    card = next((card for card in plan.machine.cards if card.name == name), None)
    if card is not None:
        return (Bar(name, _parts(*sizes, card.memory_bytes - card.usable_bytes), card.memory_bytes),)
    reserve = plan.machine.reserve_bytes
    return (Bar(name, _parts(*sizes, reserve), plan.machine.usable_bytes + reserve),)


def _device_bar(plan: Plan, row: FormatPlan, use: DeviceUse) -> Bar:
    """What of the row stays on one of several devices."""
    sizes = dict.fromkeys(PART_OF.values(), 0)
    for item in row.memory:
        if item.device == use.name and item.resident:
            sizes[PART_OF[item.what]] += item.bytes
    card = next((card for card in plan.machine.cards if card.name == use.name), None)
    reserve = card.memory_bytes - card.usable_bytes if card else plan.machine.reserve_bytes
    return Bar(use.name, _parts(*sizes.values(), reserve), (use.usable_bytes or 0) + reserve)


def _parts(*sizes: int) -> tuple[Part, ...]:
    return tuple(Part(name, *look, size) for (name, look), size in zip(_LOOKS.items(), sizes, strict=True))


def total_of(bars: tuple[Bar, ...]) -> tuple[Part, ...]:
    """The parts over all devices."""
    together = zip(*(bar.parts for bar in bars), strict=True)
    return tuple(parts[0]._replace(bytes=sum(part.bytes for part in parts)) for parts in together)


def device_label(device: str) -> str:
    """As short as it can be told: the RAM, or a card without its maker."""
    return (
        "RAM"
        if device == RAM
        else next((device.removeprefix(maker) for maker in _MAKERS if device.startswith(maker)), device)
    )


def cards_text(machine: MachineSummary) -> str:
    """The cards beside the RAM, as the end of a line that tells the RAM."""
    if machine.ram_bytes is None:
        return ""
    return "".join(f", {device_label(card.name)} with {gib(card.memory_bytes, 0)}" for card in machine.cards)
