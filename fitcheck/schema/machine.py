"""A Machine: hardware that was probed, looked up, or imagined."""

from dataclasses import dataclass
from typing import Literal

Basis = Literal["measured", "profile", "spec", "assumed"]
"""Where a figure comes from, best first: this machine's own benchmark, a
published measurement of such a machine, a data sheet scaled by what such
memory typically achieves, or a plain assumption."""

Pages = Literal["huge", "4k"]


@dataclass(frozen=True)
class ReadBandwidth:
    """What ``threads`` reading threads achieve together on memory of such pages."""

    threads: int
    pages: Pages
    bytes_per_s: float  # median of the passes
    best_bytes_per_s: float | None = None  # the fastest pass: no run was seen above it


@dataclass(frozen=True)
class KernelRate:
    """How fast one core multiplies weights of a format when memory doesn't bind."""

    format: str
    isa: str
    weights_per_s: float
    basis: Basis


@dataclass(frozen=True)
class Cache:
    level: int
    kind: Literal["data", "instruction", "unified"]
    size_bytes: int
    shared_by: int  # logical CPUs
    count: int


@dataclass(frozen=True)
class NumaNode:
    node: int
    cpus: int
    ram_bytes: int


@dataclass(frozen=True)
class MemoryModules:
    """The RAM modules, as the firmware describes them."""

    type: str | None  # DDR5, LPDDR5
    modules: int
    channels: int
    data_bits: int | None  # width of all channels together
    transfers_per_s: float  # as configured, not as sold


@dataclass(frozen=True)
class Storage:
    """What the current directory lies on."""

    device: str  # nvme0n1, sda
    kind: Literal["nvme", "ssd", "hdd", "mmc", "virtual", "network", "ram"]  # mmc: SD card or eMMC
    read_bytes_per_s: float | None = None  # unknown unless measured


@dataclass(frozen=True)
class System:
    """How the operating system runs the machine: what a figure should carry beside it."""

    page_bytes: int | None = None
    huge_page_bytes: int | None = None
    transparent_huge_pages: Literal["always", "madvise", "never"] | None = None
    governor: str | None = None
    hypervisor: str | None = None  # "none" on bare metal, "unnamed" where it hides its name
    logical_cpus: int | None = None  # online, whether or not this process may use them
    sockets: int | None = None


@dataclass(frozen=True)
class Gpu:
    """A graphics card, or the GPU that shares a machine's memory."""

    name: str
    vram_bytes: int
    bandwidth_bytes_per_s: float | None = None  # the data sheet's
    source: str = ""
    achieved_bytes_per_s: float | None = None  # what decoding was seen to read
    lane_ops_per_s: float | None = None  # instructions of single lanes: lanes x clock


@dataclass(frozen=True)
class Machine:
    """Hardware as the planner needs it. ``None`` means unknown, never zero."""

    name: str
    source: str
    ram_bytes: int | None
    arch: str | None = None  # x86_64, aarch64
    cpu: str | None = None
    cores: int | None = None  # physical, among those this process may use
    threads: int | None = None  # logical CPUs this process may use
    simd: tuple[str, ...] = ()
    limit_bytes: int | None = None  # a container's limit, below ram_bytes
    available_bytes: int | None = None  # free or reclaimable at the time of the probe
    peak_bandwidth_bytes_per_s: float | None = None  # channels x transfer rate
    bandwidth_bytes_per_s: float | None = None  # what reading threads achieve
    bandwidth_basis: Basis = "assumed"
    read_bandwidth: tuple[ReadBandwidth, ...] = ()
    kernel_rates: tuple[KernelRate, ...] = ()
    core_speed: float | None = None  # one core beside the one engines' rates of its ISA come from
    caches: tuple[Cache, ...] = ()
    numa: tuple[NumaNode, ...] = ()
    gpus: tuple[Gpu, ...] = ()
    unified_memory: bool = False  # CPU and GPU share ram_bytes
    memory: MemoryModules | None = None
    storage: Storage | None = None
    system: System | None = None
    overrides: tuple[str, ...] = ()  # what the user changed by hand
    assumed: tuple[tuple[str, str], ...] = ()  # an override that would settle it, and a note that says so
    notes: tuple[str, ...] = ()

    @property
    def is_mac(self) -> bool:
        """Whether it is a Mac with Apple's own processor."""
        return (self.cpu or self.name).lower().startswith("apple")
