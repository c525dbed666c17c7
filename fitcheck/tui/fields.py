"""The fields of the machine: what each shows, which steps it takes, and what may be typed."""

from fitcheck.schema.machine import Machine
from fitcheck.sources.overrides import Bus, parse_bus
from fitcheck.speed.disk import disk_of
from fitcheck.tui.field import Field, Shown, along, around, count, over
from fitcheck.tui.gpu_fields import GPU_FIELDS
from fitcheck.tui.request_fields import LOAD_FIELDS
from fitcheck.units import GB, GIB, gb_per_s, gib, parse_bandwidth, parse_capacity

UNKNOWN = "unknown"

# Sizes that modules and soldered memory come in, and rates of real memory.
_RAM_GIB = (
    1, 2, 3, 4, 6, 8, 12, 16, 18, 24, 32, 36, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048,
)  # fmt: skip
_DISK_GB_PER_S = (0.1, 0.2, 0.5, 1, 2, 3, 3.5, 5, 7, 10, 14)
_GB_PER_S = (
    5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 60, 70, 80, 90, 100, 120, 150, 200, 250, 300, 400, 500, 600, 800,
    1000, 1500, 2000, 3000, 4000, 8000,
)  # fmt: skip
_MT_PER_S = (1600, 2133, 2666, 3200, 3600, 4000, 4800, 5200, 5600, 6000, 6400, 7200, 8000, 8533, 9600)
_THREADS = (1, 2, 4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256)
_SIMD = (("neon",), ("neon", "dotprod"), ("avx2",), ("avx2", "avx512bw"))
_DEFAULT_CHANNELS, _MOST_THREADS = 2, 4096


def _show_ram(shown: Shown) -> str:
    size = shown.question.machine.ram_bytes
    if size is None:
        return UNKNOWN
    return gib(size, 0 if size % GIB == 0 else 1)


def _reads(shown: Shown) -> float | None:
    """What was typed, at once; else the figure that the planner arrived at."""
    machine = shown.question.machine
    typed = machine.bandwidth_bytes_per_s if "bandwidth" in machine.overrides else None
    return typed or shown.plan.machine.bandwidth_bytes_per_s


def _show_bandwidth(shown: Shown) -> str:
    reads = _reads(shown)
    return f"{gb_per_s(reads)} ({shown.plan.machine.bandwidth_basis})" if reads else UNKNOWN


def bus_of(machine: Machine, chosen: Bus | None) -> Bus | None:
    """The channels and rate that were chosen, else those the firmware told."""
    memory = machine.memory
    return chosen or (Bus(memory.channels, memory.transfers_per_s) if memory and memory.channels else None)


def _show_threads(shown: Shown) -> str:
    machine = shown.question.machine
    cores = f" ({machine.cores} cores)" if machine.cores and machine.cores != machine.threads else ""
    return f"{machine.threads or UNKNOWN}{cores}"


def _show_simd(shown: Shown) -> str:
    return " ".join(shown.question.machine.simd) or UNKNOWN


def _simd_step(shown: Shown, direction: int) -> tuple[str, ...]:
    """Of the machine's own family: nobody puts AVX on an Arm."""
    arm = (shown.question.machine.arch or "").startswith(("aarch64", "arm"))
    return around([way for way in _SIMD if ("neon" in way) == arm], shown.question.machine.simd, direction)  # type: ignore[no-any-return]


def _show_disk(shown: Shown) -> str:
    disk = disk_of(shown.question.machine.storage)
    given = "as given" if "disk" in shown.question.machine.overrides else disk.basis
    return f"{gb_per_s(disk.bytes_per_s)} ({given})"


def _show_bus(shown: Shown) -> str:
    bus = bus_of(shown.question.machine, shown.choices.bus)
    return f"{bus.channels} × {bus.transfers_per_s / 1e6:.0f} MT/s" if bus else UNKNOWN


def _bus_step(shown: Shown, direction: int) -> Bus:
    bus = bus_of(shown.question.machine, shown.choices.bus)
    rate = along(_MT_PER_S, bus.transfers_per_s / 1e6 if bus else None, direction)
    return Bus(bus.channels if bus else _DEFAULT_CHANNELS, rate * 1e6)


MACHINE_FIELDS = (
    Field(
        "ram_bytes", "RAM", _show_ram,
        lambda shown, way: GIB * along(_RAM_GIB, over(shown.question.machine.ram_bytes, GIB), way),
        parse_capacity, "GiB: 16, 1.5T",
    ),
    Field(
        "bandwidth_bytes_per_s", "reads", _show_bandwidth,
        lambda shown, way: float(GB * along(_GB_PER_S, over(_reads(shown), GB), way)),
        parse_bandwidth, "GB/s that reads achieve",
    ),
    Field("bus", "modules", _show_bus, _bus_step, parse_bus, "channels x MT/s: 2x5600"),
    Field(
        "threads", "threads", _show_threads,
        lambda shown, way: along(_THREADS, shown.question.machine.threads, way),
        count("threads", _MOST_THREADS), "threads that decode",
    ),
    Field("simd", "SIMD", _show_simd, _simd_step),
    *GPU_FIELDS,
    Field(
        "disk_bytes_per_s", "disk", _show_disk,
        lambda shown, way: float(
            GB * along(_DISK_GB_PER_S, disk_of(shown.question.machine.storage).bytes_per_s / GB, way)
        ),
        parse_bandwidth, "GB/s files are read at",
    ),
    *LOAD_FIELDS,
)  # fmt: skip
