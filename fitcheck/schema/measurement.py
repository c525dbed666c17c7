"""Measurements: what a run showed, raw values kept."""

from dataclasses import dataclass

from fitcheck.schema.engine import OWN_ENGINE
from fitcheck.schema.machine import Basis, Pages
from fitcheck.schema.request import FlashAttention


@dataclass(frozen=True)
class KernelMeasurement:
    """One kernel streaming from memory, in rounds interleaved with plain reads."""

    format: str
    isa: str
    threads: int
    weights_per_s: float  # median
    bytes_per_s: float
    cached_weights_per_s_per_core: float  # rows that stay in cache, one thread
    share_of_read_bandwidth: float  # median of the rounds' ratios
    raw: tuple[float, ...]  # bytes per second of each round
    raw_read: tuple[float, ...]  # the plain read beside it
    stable: bool
    unstable_why: str | None = None  # a sentence


@dataclass(frozen=True)
class BatchMeasurement:
    """One kernel that unpacks weights once for several tokens, in rounds interleaved with one token's."""

    format: str
    isa: str
    threads: int
    tokens: int
    token_weights_per_s: float  # weights times tokens, median
    cost: float  # of all tokens together, in products with one; below `tokens` they gain. Median of pairs
    raw: tuple[float, ...]  # seconds of each round
    raw_single: tuple[float, ...]  # of the product with one token beside it
    stable: bool
    unstable_why: str | None = None


@dataclass(frozen=True)
class Benchmark:
    """What ``fitcheck bench`` saw."""

    machine: str
    threads: int
    pages: Pages
    read_bandwidth_bytes_per_s: float  # median of the plain reads beside the kernels
    kernels: tuple[KernelMeasurement, ...]
    environment: dict[str, str]
    batches: tuple[BatchMeasurement, ...] = ()  # where asked for


@dataclass(frozen=True)
class PrefillCheck:
    """A predicted prefill speed beside a measured one; unknown where nothing predicts it."""

    tokens: int
    measured_tokens_per_s: float
    predicted_tokens_per_s: float | None
    error: float | None
    raw: tuple[float, ...]  # tokens per second of each repetition


@dataclass(frozen=True)
class CoreTiming:
    """How fast a core was between an engine's rounds: fitcheck's own kernel over weights in its cache."""

    format: str
    isa: str
    threads: int  # that share every product
    weights_per_s: float  # of one of them, median over the rounds
    speed: float  # beside the core that the engine's rates come from
    spread: float  # the middle half of the rounds over their median
    raw: tuple[float, ...]  # weights per second of each round: the mean of those before and after it


@dataclass(frozen=True)
class Verification:
    """A predicted decode speed beside a measured one.

    ``engine`` says who ran it: fitcheck's own kernels, or a program that was found here.
    """

    model: str
    format: str
    context: int  # cells in the cache
    depth: int  # of them filled
    threads: int
    isa: str
    layers_run: int
    layers_total: int
    predicted_tokens_per_s: float
    measured_tokens_per_s: float
    error: float  # median over the rounds of predicted / measured - 1
    resident_bytes: int
    read_bandwidth_bytes_per_s: float
    share_of_read_bandwidth: float
    bytes_per_token: int
    basis: Basis
    raw: tuple[float, ...]  # seconds of each decode step
    raw_read: tuple[float, ...]  # bytes per second of the plain reads between its layers
    stable: bool  # whether the medians would be the same a minute later
    unstable_why: str | None  # a sentence
    energy_joules_per_token: float | None  # None: not exposed
    energy_source: str  # what was counted, or why nothing could be
    environment: dict[str, str]
    notes: tuple[str, ...] = ()
    engine: str = OWN_ENGINE
    runner: str | None = None  # the program or library that ran it, where it was not us
    engine_build: str | None = None  # the program's commit and number
    engine_flags: tuple[str, ...] = ()  # all it was called with
    file: str | None = None  # what was run, where it was a file
    kv_type: str = "f16"
    flash_attention: FlashAttention = "auto"
    prefill: PrefillCheck | None = None
    core: CoreTiming | None = None  # None: it was not timed
