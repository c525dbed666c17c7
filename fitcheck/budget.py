"""How much of a machine's memory a model may have, on each of its devices."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from fitcheck.errors import BadInput
from fitcheck.schema.engine import Device
from fitcheck.schema.machine import Gpu, Machine
from fitcheck.schema.plan import RAM
from fitcheck.schema.request import Request
from fitcheck.units import GIB, MIB, gib

# No authoritative figure for an operating system's own use exists. An eighth of
# the memory, at most 2 GiB, is what a desktop with nothing else open takes; a
# browser comes on top. The reserve is always printed and --reserve sets it.
OS_SHARE, OS_MOST = 8, 2 * GIB

# Inside a container the operating system lives outside the limit.
CONTAINER_RESERVE = 256 * MIB

# llama.cpp itself leaves 1024 MiB a device free (tools/fit-params README).
GPU_RESERVE = 1 * GIB

# What macOS lets the GPU wire, as Metal's recommendedMaxWorkingSetSize in public logs
# of llama.cpp says. Until macOS 15: two thirds (11453 MB of 16 GiB, 17180 of 24, 22906
# of 32), from 36 GiB on three quarters (28991 MB of 36, 103079 of 128). Systems of 2026
# give more: 74 % of 16 and 24 GiB (12713 MB, 19070), 78 % of 32 to 48 (26801, 30151,
# 40201), 81 % of 64 (55663), 84 % of 128 (115449), all but 48 GiB of 512 (498216).
# A model that fits by the older rule fits by either.
_MAC_LARGE = 36 * GIB
WIRED_RULE = "two thirds below 36 GiB, three quarters from there: the rule until macOS 15"


class Pool(NamedTuple):
    """One device's memory; a model may use what the reserve leaves."""

    name: str  # RAM, or the GPU's name
    kind: Literal["ram", "gpu", "unified"]
    memory_bytes: int
    reserve_bytes: int

    @property
    def usable_bytes(self) -> int:
        return max(0, self.memory_bytes - self.reserve_bytes)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a model may use. A card alone has no ``ram``; a GPU that shares the RAM has no ``cards``.

    ``unified`` is what the GPU may have of a RAM that it shares.
    """

    ram: Pool | None
    cards: tuple[Pool, ...] = ()
    unified: Pool | None = None
    maps_files: bool = True  # whether weights mapped from a file can be used where they lie
    notes: tuple[str, ...] = ()

    @property
    def main(self) -> Pool:
        """The memory an answer is first judged by."""
        return self.unified or self.ram or self.cards[0]

    @property
    def device(self) -> Device:
        return "cpu" if self.main.kind == "ram" else "gpu"

    @property
    def memory_bytes(self) -> int:
        return self.main.memory_bytes

    @property
    def reserve_bytes(self) -> int:
        return self.main.reserve_bytes

    @property
    def usable_bytes(self) -> int:
        return self.main.usable_bytes


def budget_of(machine: Machine, request: Request) -> Budget:
    """The memory a plan is judged against, a draft's taken off. Raises BadInput where it is unknown."""
    budget = _budget_of(machine, request)
    return _beside(budget, request.draft_bytes) if request.speculate else budget


def _beside(budget: Budget, draft_bytes: int) -> Budget:
    """What a draft leaves of the device where it runs: the first card, the shared memory, or the RAM."""
    if budget.cards:
        first, *others = budget.cards
        return replace(budget, cards=(_less(first, draft_bytes), *others))
    ram, unified = (_less(pool, draft_bytes) if pool else None for pool in (budget.ram, budget.unified))
    return replace(budget, ram=ram, unified=unified)


def _less(pool: Pool, draft_bytes: int) -> Pool:
    return pool._replace(reserve_bytes=pool.reserve_bytes + draft_bytes)


def _budget_of(machine: Machine, request: Request) -> Budget:
    if machine.unified_memory and machine.ram_bytes:
        return _unified(machine, machine.ram_bytes, request)
    cards = tuple(_cards(machine.gpus))
    if machine.ram_bytes is not None:
        ram, notes = _ram(machine, machine.ram_bytes, request)
        return Budget(ram, cards, notes=notes)
    if cards:
        note = "the host's RAM is unknown: only what lies on the card is judged; say --ram to add it"
        return Budget(None, cards, notes=(note,))
    raise BadInput(f"the memory of {machine.name} is unknown", "say how much it has, for example --ram 16G")


def least_memory(total_bytes: int, request: Request) -> int:
    """The smallest RAM that leaves ``total_bytes`` after the system's reserve."""
    if request.reserve_bytes is not None:
        return total_bytes + request.reserve_bytes
    return min(-(-total_bytes * OS_SHARE // (OS_SHARE - 1)), total_bytes + OS_MOST)


def _cards(gpus: Sequence[Gpu]) -> Iterator[Pool]:
    """Equal cards get numbers, so that each is a device of its own."""
    names = [gpu.name for gpu in gpus]
    for index, gpu in enumerate(gpus):
        number = f" #{names[: index + 1].count(gpu.name)}" if names.count(gpu.name) > 1 else ""
        yield Pool(f"{gpu.name}{number}", "gpu", gpu.vram_bytes, GPU_RESERVE)


def _ram(machine: Machine, ram: int, request: Request) -> tuple[Pool, tuple[str, ...]]:
    if machine.limit_bytes and machine.limit_bytes < ram:
        reserve = _reserve(request, min(CONTAINER_RESERVE, machine.limit_bytes // OS_SHARE))
        note = f"a container limits memory to {gib(machine.limit_bytes)}"
        return Pool(RAM, "ram", machine.limit_bytes, reserve), (note,)
    pool = Pool(RAM, "ram", ram, _reserve(request, min(ram // OS_SHARE, OS_MOST)))
    free = machine.available_bytes
    if free is not None and free < pool.usable_bytes:
        return pool, (f"only {gib(free)} are free at the moment: close programs first",)
    return pool, ()


def _unified(machine: Machine, ram: int, request: Request) -> Budget:
    """Memory that a GPU shares, counted once: on a Mac the system caps the GPU's part."""
    whole = Pool(RAM, "ram", ram, _reserve(request, min(ram // OS_SHARE, OS_MOST)))
    if not machine.is_mac:
        shared = Pool(RAM, "unified", ram, whole.reserve_bytes)
        return Budget(whole, unified=shared, maps_files=False)
    allowed, basis = _wired(machine, ram)
    note = (
        f"macOS gives the GPU {gib(allowed)} of {gib(ram)} ({basis}); sysctl iogpu.wired_limit_mb raises it"
    )
    return Budget(whole, unified=Pool(RAM, "unified", ram, _reserve(request, ram - allowed)), notes=(note,))


def _wired(machine: Machine, ram: int) -> tuple[int, str]:
    """What the GPU may wire: the probe's figure where it is below the RAM, else the rule."""
    told = machine.gpus[0] if machine.gpus and "ram" not in machine.overrides else None
    if told and told.vram_bytes < ram:
        return told.vram_bytes, told.source or "read from the system"
    return wired_by_rule(ram), WIRED_RULE


def wired_by_rule(ram: int) -> int:
    """What the GPU of a Mac may have of so much RAM, where nobody can ask it."""
    return ram * 2 // 3 if ram < _MAC_LARGE else ram * 3 // 4


def _reserve(request: Request, default: int) -> int:
    return default if request.reserve_bytes is None else request.reserve_bytes
