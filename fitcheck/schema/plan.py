"""A Plan: the answer, as the table, the JSON, the TUI and the library show it."""

from dataclasses import dataclass
from typing import Literal

from fitcheck.schema.machine import Basis, Gpu
from fitcheck.schema.request import Request

Fits = Literal["yes", "tight", "no"]
Bound = Literal["memory", "compute", "overhead", "disk"]
Holding = Literal[
    "weights",
    "repacked copy",
    "kv cache",
    "recurrent state",
    "compute buffer",
    "output buffer",
    "runtime",
]
Kind = Literal["mapped", "anonymous"]
RAM = "ram"
"""What devices are called: the RAM, else a GPU by its own name."""


@dataclass(frozen=True)
class TokenRate:
    """Tokens per second. ``limit`` is the physical bound none of them exceeds."""

    low: float
    expected: float
    high: float
    limit: float


@dataclass(frozen=True)
class CurvePoint:
    """Decode speed with ``depth`` tokens already in the cache."""

    depth: int
    low: float
    expected: float
    high: float


@dataclass(frozen=True)
class ModelSummary:
    """The model as the answer names it; its tensors stay in the Model."""

    name: str
    source: str
    architecture: str
    parameters: int
    active_parameters: int
    layers: int
    hidden_size: int
    vocab_size: int
    context_max: int | None
    trained_ternary: bool
    resolved_from: str | None = None  # what the user typed, where it isn't the name
    note: str | None = None


@dataclass(frozen=True)
class MemoryItem:
    """Bytes of one thing on one device.

    ``mapped`` pages belong to the file and can be evicted. What isn't
    ``resident`` is touched while loading and not needed after that.
    """

    what: Holding
    device: str  # RAM, or a GPU's name
    bytes: int
    kind: Kind
    resident: bool


@dataclass(frozen=True)
class DeviceUse:
    """What a model takes of one device, and what there is of it."""

    name: str
    kind: Literal["ram", "gpu", "unified"]
    usable_bytes: int | None  # None: unknown, and nothing was held against it
    need_bytes: int


@dataclass(frozen=True)
class Placement:
    """Which layers lie where, and the flags that put them there.

    Layers count as llama.cpp counts them: the output is one, and those kept in
    RAM are the first.
    """

    gpu_layers: int
    layers_total: int
    cpu_moe_layers: int  # of the first layers, the experts stay in RAM
    devices: tuple[DeviceUse, ...]
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Conversion:
    """What making or loading this format takes besides running it; None: nobody measured it."""

    step: str
    ram_bytes: int | None
    disk_bytes: int | None
    source: str


@dataclass(frozen=True)
class FormatPlan:
    """One weight format on the machine: its bytes, whether they fit, how fast."""

    format: str
    engine: str
    bits_per_weight: float
    weights_bytes: int
    kv_bytes: int
    compute_bytes: int
    runtime_bytes: int  # the engine's own code, buffers and tables
    total_bytes: int  # what must stay resident for full speed, on all devices
    fits: Fits
    headroom_bytes: int  # of the fullest device: usable less needed; negative where there is no room
    max_context: int  # 0 where not even the weights fit
    why: str
    needs_native_training: bool
    decode_tokens_per_s: TokenRate | None = None  # None: unknown, or it doesn't fit
    decode_bound: Bound | None = None
    speed_basis: Basis | None = None
    decode_curve: tuple[CurvePoint, ...] = ()
    prefill_tokens_per_s: float | None = None  # of 512 tokens, as engines' benchmarks report it
    ttft_s: float | None = None  # taking in the request's prompt; None: nobody measured it
    quality_note: str | None = None
    notes: tuple[str, ...] = ()
    peak_bytes: int = 0  # total_bytes and what is touched only while loading
    memory: tuple[MemoryItem, ...] = ()
    placement: Placement | None = None
    conversions: tuple[Conversion, ...] = ()


@dataclass(frozen=True)
class Card:
    """A graphics card with memory of its own, as plans are judged against it."""

    name: str
    memory_bytes: int
    usable_bytes: int


@dataclass(frozen=True)
class MachineSummary:
    """The machine as it was planned for: probed or imagined, overrides applied."""

    name: str
    source: str
    ram_bytes: int | None
    usable_bytes: int  # what the plans are judged against: memory less the reserve
    reserve_bytes: int  # kept for the operating system
    available_bytes: int | None  # free or reclaimable at the moment of the probe
    bandwidth_bytes_per_s: float | None
    bandwidth_basis: Basis
    threads: int | None
    simd: tuple[str, ...]
    gpus: tuple[Gpu, ...]
    overrides: tuple[str, ...]
    notes: tuple[str, ...]
    cards: tuple[Card, ...] = ()
    disk_bytes_per_s: float | None = None  # what files are read at where weights don't fit
    disk_basis: Basis = "assumed"


@dataclass(frozen=True)
class Plan:
    model: ModelSummary
    machine: MachineSummary
    request: Request  # with every choice the planner made filled in
    plans: tuple[FormatPlan, ...]
    best: str | None  # the format to take, or None where none fits
    verdict: str
