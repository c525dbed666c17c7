"""A Machine with what a person typed put in its place: other RAM, other memory modules, other cores.

Each override is named in ``Machine.overrides``, so that every face can say what is imagined.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from fitcheck.errors import BadInput, UnknownName
from fitcheck.schema.machine import Gpu, Machine, Storage

# A DDR channel is 64 bits wide; LPDDR's narrower ones are counted by sellers in the same unit.
CHANNEL_BYTES = 8

_CARDS = re.compile(r"(?:(\d{1,2})\s*[x×*]\s*)?(.+)", re.DOTALL)
_BUS = re.compile(r"(\d{1,2})\s*[x×*]\s*(?:lp)?(?:ddr\d[a-z]*-)?(\d{3,5})(?:\s*mt/s)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Bus:
    """Memory as it is sold: 64-bit channels and transfers a second."""

    channels: int
    transfers_per_s: float

    @property
    def peak_bytes_per_s(self) -> float:
        return self.channels * CHANNEL_BYTES * self.transfers_per_s


@dataclass(frozen=True, slots=True)
class Overrides:
    """What to put in place of the machine's own; None leaves it as it is."""

    ram_bytes: int | None = None
    bandwidth_bytes_per_s: float | None = None
    bus: Bus | None = None
    threads: int | None = None
    simd: tuple[str, ...] | None = None
    gpus: tuple[Gpu, ...] | None = None  # none at all where empty
    vram_bytes: int | None = None
    disk_bytes_per_s: float | None = None


def parse_bus(text: str) -> Bus:
    """``2x5600`` or ``2 x DDR5-5600``: channels and 10**6 transfers a second. Raises BadInput."""
    match = _BUS.fullmatch(text.strip())
    if match is None or not int(match[1]) or not int(match[2]):
        raise BadInput(f"{text[:40]!r} is no memory bus", "write channels x MT/s, as 2x5600")
    return Bus(int(match[1]), int(match[2]) * 1e6)


def parse_cards(text: str) -> tuple[Gpu, ...]:
    """``rtx-3090``, ``2x RTX 3090``: graphics cards of the catalogue. Raises BadInput or UnknownName."""
    match = _CARDS.fullmatch(text.strip())
    count, name = (match[1], match[2]) if match else (None, text)
    card = _card(name)
    if count is not None and not int(count):
        raise BadInput(f"{text[:40]!r} is no card at all", "say --no-gpu to plan without one")
    return card.gpus * int(count or 1)


def _card(name: str) -> Machine:
    """The machine of the catalogue that is nothing but such a card. Raises BadInput or UnknownName."""
    from fitcheck.sources.machines import find_machine  # noqa: PLC0415 (most ask for no card)

    try:
        card = find_machine(name)
    except UnknownName as error:
        remedy = f"did you mean {_cards_like(name)}? see: fitcheck machines"
        raise UnknownName(f"no graphics card is called {name[:40]!r}", remedy) from error
    if card.ram_bytes is not None or not card.gpus:
        raise BadInput(f"{card.name} is no graphics card", f"the nearest are {_cards_like(name)}")
    return card


def _cards_like(name: str) -> str:
    from fitcheck.sources.machines import card_sizes  # noqa: PLC0415
    from fitcheck.sources.names import nearest  # noqa: PLC0415

    return ", ".join(nearest(card_sizes(), name))


def imagine(machine: Machine, overrides: Overrides) -> Machine:
    """The machine with the overrides in their place."""
    if overrides.ram_bytes is not None:
        # An imagined size: what is free now and a container's limit don't apply.
        machine = _with(
            machine, "ram", ram_bytes=overrides.ram_bytes, available_bytes=None, limit_bytes=None, numa=()
        )
    if overrides.bus is not None:
        machine = _with_bus(machine, overrides.bus)
    if overrides.bandwidth_bytes_per_s is not None:
        given = overrides.bandwidth_bytes_per_s
        machine = _with(machine, "bandwidth", bandwidth_bytes_per_s=given, bandwidth_basis="spec")
    if overrides.threads is not None:
        cores = overrides.threads if overrides.threads > (machine.threads or 0) else machine.cores
        machine = _with(machine, "threads", threads=overrides.threads, cores=cores)
    if overrides.gpus is not None:
        machine = _with(machine, "gpu", gpus=overrides.gpus, unified_memory=False)
    if overrides.vram_bytes is not None:
        machine = _with_vram(machine, overrides.vram_bytes)
    if overrides.disk_bytes_per_s is not None:
        known = machine.storage or Storage("disk", "nvme")
        storage = replace(known, read_bytes_per_s=overrides.disk_bytes_per_s)
        machine = _with(machine, "disk", storage=storage)
    if overrides.simd is not None:
        # Rates measured with other instructions say nothing about these.
        machine = _with(machine, "simd", simd=overrides.simd, kernel_rates=())
    return machine


def _with_vram(machine: Machine, size: int) -> Machine:
    """Each card with so much memory; a card that nobody named where there is none."""
    if machine.unified_memory:
        raise BadInput(f"the GPU of {machine.name} works in its RAM", "say --ram, or --gpu NAME for a card")
    cards = machine.gpus or (Gpu("GPU", size, source="as given"),)
    return _with(machine, "vram", gpus=tuple(replace(card, vram_bytes=size) for card in cards))


def _with_bus(machine: Machine, bus: Bus) -> Machine:
    """Other modules: what was read from the old ones no longer holds."""
    return _with(
        machine,
        "memory",
        peak_bandwidth_bytes_per_s=bus.peak_bytes_per_s,
        bandwidth_bytes_per_s=None,
        bandwidth_basis="spec",
        read_bandwidth=(),
        memory=None,
    )


def _with(machine: Machine, what: str, **changes: Any) -> Machine:
    """The change, and nothing more said of what was assumed in its place."""
    assumed = tuple(row for row in machine.assumed if row[0] != what)
    return replace(machine, overrides=(*machine.overrides, what), assumed=assumed, **changes)
