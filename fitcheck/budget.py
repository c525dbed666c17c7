"""How much of a machine's memory a model may have, and on which device."""

from dataclasses import dataclass

from fitcheck.errors import BadInput
from fitcheck.schema.engine import Device
from fitcheck.schema.machine import Machine
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

# What macOS lets the GPU wire: two thirds up to 36 GB, three quarters above
# (5461 of 8192 MB and 21845 of 32768 MB in llama.cpp logs, 48 of 64 GB).
# Newer systems allow a little more; `sysctl iogpu.wired_limit_mb` raises it.
_MAC_SMALL = 36 * GIB

_UNIFIED = "unified memory"


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes a model may use: ``usable`` is ``memory`` less ``reserve``."""

    device: Device
    memory_bytes: int
    reserve_bytes: int
    notes: tuple[str, ...] = ()
    kind: str = "RAM"  # what people call this memory

    @property
    def usable_bytes(self) -> int:
        return max(0, self.memory_bytes - self.reserve_bytes)


def budget_of(machine: Machine, request: Request) -> Budget:
    """The memory a plan is judged against. Raises BadInput where it is unknown."""
    if machine.unified_memory and machine.ram_bytes:
        return _unified(machine, machine.ram_bytes, request)
    if machine.ram_bytes is None and machine.gpus:
        card = machine.gpus[0]
        return Budget("gpu", card.vram_bytes, _reserve(request, GPU_RESERVE), kind="GPU memory")
    if machine.ram_bytes is None:
        raise BadInput(
            f"the memory of {machine.name} is unknown", "say how much it has, for example --ram 16G"
        )
    return _ram(machine, machine.ram_bytes, request)


def least_memory(total_bytes: int, request: Request) -> int:
    """The smallest RAM that leaves ``total_bytes`` after the system's reserve."""
    if request.reserve_bytes is not None:
        return total_bytes + request.reserve_bytes
    return min(-(-total_bytes * OS_SHARE // (OS_SHARE - 1)), total_bytes + OS_MOST)


def _ram(machine: Machine, ram: int, request: Request) -> Budget:
    notes = []
    if machine.gpus:
        notes.append(f"planned for the CPU and its RAM; the GPU ({machine.gpus[0].name}) is left out")
    if machine.limit_bytes and machine.limit_bytes < ram:
        notes.append(f"a container limits memory to {gib(machine.limit_bytes)}")
        reserve = min(CONTAINER_RESERVE, machine.limit_bytes // OS_SHARE)
        return Budget("cpu", machine.limit_bytes, _reserve(request, reserve), tuple(notes))
    reserve = _reserve(request, min(ram // OS_SHARE, OS_MOST))
    if machine.available_bytes is not None and machine.available_bytes < ram - reserve:
        notes.append(f"only {gib(machine.available_bytes)} are free at the moment: close programs first")
    return Budget("cpu", ram, reserve, tuple(notes))


def _unified(machine: Machine, ram: int, request: Request) -> Budget:
    """Memory that a GPU shares: on a Mac the system caps the GPU's part."""
    if not machine.name.lower().startswith("apple"):
        return Budget("gpu", ram, _reserve(request, min(ram // OS_SHARE, OS_MOST)), kind=_UNIFIED)
    allowed = ram * 2 // 3 if ram <= _MAC_SMALL else ram * 3 // 4
    note = f"macOS gives the GPU about {gib(allowed)} of {gib(ram)}; sysctl iogpu.wired_limit_mb raises it"
    return Budget("gpu", ram, _reserve(request, ram - allowed), (note,), _UNIFIED)


def _reserve(request: Request, default: int) -> int:
    return default if request.reserve_bytes is None else request.reserve_bytes
