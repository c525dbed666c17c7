"""A Plan: the answer, as the table, the JSON, the TUI and the library show it."""

from dataclasses import dataclass
from typing import Literal

from fitcheck.schema.machine import Basis, Gpu
from fitcheck.schema.request import Request

Fits = Literal["yes", "tight", "no"]
Bound = Literal["memory", "compute", "overhead", "disk"]


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
class FormatPlan:
    """One weight format on the machine: its bytes, whether they fit, how fast."""

    format: str
    engine: str
    bits_per_weight: float
    weights_bytes: int
    kv_bytes: int
    compute_bytes: int
    runtime_bytes: int  # the engine's own code, buffers and tables
    total_bytes: int
    fits: Fits
    headroom_bytes: int  # usable memory less total; negative where it doesn't fit
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


@dataclass(frozen=True)
class Plan:
    model: ModelSummary
    machine: MachineSummary
    request: Request  # with every choice the planner made filled in
    plans: tuple[FormatPlan, ...]
    best: str | None  # the format to take, or None where none fits
    verdict: str
