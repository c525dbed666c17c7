"""Published runs, and how far the predictions for them are off."""

from dataclasses import dataclass

from fitcheck.schema.engine import Device
from fitcheck.schema.machine import Basis, KernelRate, ReadBandwidth
from fitcheck.schema.request import FlashAttention


@dataclass(frozen=True, slots=True)
class Published:
    """What every published speed says of itself: what ran on what, and where that stands.

    ``machine``, ``model`` and ``format`` name what the catalogue knows; they
    may be empty where ``excluded`` says why the row can't be judged.
    """

    collection: str  # the file it stands in
    machine: str
    device: Device
    cards: int  # side by side, each with some layers or a part of all, as the engine has it
    model: str
    format: str
    engine: str
    threads: int | None
    flash_attention: FlashAttention
    tokens_per_s: float
    excluded: str | None
    hardware: str  # as published, like what follows
    published_model: str
    published_format: str
    published_engine: str
    source: str


@dataclass(frozen=True, slots=True)
class PublishedRun(Published):
    """One row of ``profiles/measurements``: how fast somebody saw a model decode."""

    rest_type: str | None  # of what the format leaves in 8 or 16 bits, where the file differs
    depth: int  # tokens in the cache, on the mean over the run
    end_to_end: bool  # timed by a client, prompt and transport included: judged, never fitted
    kv_type: str = "f16"
    batch: int = 1  # sequences that decode together: tokens_per_s is of all of them
    speculate: int = 0  # tokens guessed by a draft for each pass
    accept: float = 0.0  # the share of them that was taken, each after those before it
    draft_bytes: int = 0


@dataclass(frozen=True, slots=True)
class PublishedPrompt(Published):
    """One row of ``profiles/measurements/prompts``: how fast a prompt was taken in, from an empty cache."""

    tokens: int
    fitted: bool  # a figure of the engine's profile was set from it
    notes: str


@dataclass(frozen=True, slots=True)
class PromptScore:
    """Errors of a class of prompts. An error is |expected / measured - 1|."""

    name: str
    runs: int
    machines: int
    median: float
    p90: float
    unknown: int  # more of them, for which no speed is said


@dataclass(frozen=True, slots=True)
class OwnRun:
    """One row of ``profiles/measurements/own``: a run of ours, with the memory's reads of the same minute."""

    run: PublishedRun
    reads: tuple[ReadBandwidth, ...]  # the mean of those before and after
    kernel_rates: tuple[KernelRate, ...]  # the same of fitcheck's own kernels, where they were timed
    steady: bool  # the two reads agree, and nobody else ran
    fitted: bool  # a figure of the engine's profile was set from it


@dataclass(frozen=True, slots=True)
class Judged:
    """A usable run beside the predictions for it."""

    run: PublishedRun
    basis: Basis
    in_sample: float  # expected tokens/s, with constants fitted to all runs
    expected: float  # the same with constants fitted without this machine's runs
    low: float
    high: float
    bandwidth_over_size: float
    llmfit: float


@dataclass(frozen=True, slots=True)
class Score:
    """Errors of a class of runs. An error is |expected / measured - 1|."""

    kind: str  # engine, device, format, basis …
    name: str
    runs: int
    machines: int
    median_in_sample: float
    median: float
    p90: float
    coverage: float  # share of runs within low … high
    median_bandwidth_over_size: float
    median_llmfit: float


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows that were not judged, and why."""

    reason: str
    runs: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccuracyReport:
    published_runs: int
    judged_runs: int
    scores: tuple[Score, ...]
    misses: tuple[Judged, ...]  # the worst, one a machine and engine
    left_out: tuple[LeftOut, ...]
    prompts: tuple[PromptScore, ...] = ()
    prompts_left_out: tuple[LeftOut, ...] = ()
