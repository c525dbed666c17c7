"""Calibration: what a person's own runs taught about an engine on a machine."""

from dataclasses import dataclass
from typing import Literal

from fitcheck.schema.engine import Device
from fitcheck.schema.machine import KernelRate
from fitcheck.schema.model import Model
from fitcheck.schema.request import Request
from fitcheck.schema.weights import FileWeights

Kind = Literal["decode", "prefill"]


@dataclass(frozen=True)
class Shape:
    """What was run: a model in a mix worked out from its shape, or the weights of a real file."""

    model: Model
    format: str
    file: FileWeights | None = None


@dataclass(frozen=True)
class Run:
    """One speed that an engine showed. ``request`` says how it was asked for.

    ``prompt`` is the tokens of a prefill, 0 where decode was timed;
    ``bandwidth_bytes_per_s`` what plain reads did in the same minute, ``core``
    what a core did.
    """

    shape: Shape
    request: Request
    engine: str
    device: Device
    tokens_per_s: float
    source: str
    prompt: int = 0
    bandwidth_bytes_per_s: float | None = None
    core: KernelRate | None = None

    @property
    def kind(self) -> Kind:
        return "prefill" if self.prompt else "decode"


@dataclass(frozen=True)
class Factors:
    """How the engine's figures here stand to its profile's; 1 leaves a figure as it is."""

    bandwidth: float = 1.0  # share of the memory's reads it reaches
    arithmetic: float = 1.0  # weights and attention a core multiplies a second
    overhead: float = 1.0  # seconds that no bytes and no products explain
    prefill: float = 1.0  # arithmetic of a prompt


@dataclass(frozen=True)
class Learned:
    """The factors of an engine on a device, and the spread of the runs around them.

    ``low`` and ``high`` bound 80 % of measured over expected decode speeds.
    """

    engine: str
    device: Device
    factors: Factors
    low: float
    high: float
    runs: int  # different questions, of decode and prefill; the same one twice counts once
    profile: int  # checksum of the profile, and of the core's speed, that the factors stand beside


@dataclass(frozen=True)
class Compared:
    """One question before and after learning, in tokens per second."""

    model: str
    format: str
    kind: Kind
    engine: str
    depth: int
    threads: int | None
    before: float
    after: float
    measured: float | None = None  # None: a model that was not run
    source: str | None = None


@dataclass(frozen=True)
class CalibrationReport:
    """What ``fitcheck calibrate`` says."""

    machine: str
    learned: tuple[Learned, ...]
    runs: tuple[Compared, ...]
    others: tuple[Compared, ...]
