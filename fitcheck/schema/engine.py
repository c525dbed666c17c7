"""An Engine: what a program that runs models was measured to do with a machine."""

from dataclasses import dataclass
from typing import Literal

from fitcheck.schema.machine import Basis, Pages

Device = Literal["cpu", "gpu"]


@dataclass(frozen=True)
class TypeRate:
    """Weights of a type one core multiplies a second with an ISA, memory aside."""

    type: str
    isa: str
    weights_per_s: float


@dataclass(frozen=True)
class AttentionRate:
    """Cache elements (keys and values) one core attends to a second."""

    kv_type: str
    flash_attention: bool
    elements_per_s: float


@dataclass(frozen=True)
class Residual:
    """Measured speed over expected speed: the 10th and 90th percentile of real runs."""

    basis: Basis
    low: float
    high: float
    runs: int
    source: str


@dataclass(frozen=True)
class Engine:
    """An engine's own numbers, from its profile file."""

    name: str
    source: str
    device: Device
    pages: Pages  # what it reads weights through: a mapped file has 4 KiB pages
    read_efficiency: float  # share of the read bandwidth on such pages it reaches
    overhead_s_per_layer: float  # synchronisation and small operations
    rates: tuple[TypeRate, ...] = ()
    attention: tuple[AttentionRate, ...] = ()
    residuals: tuple[Residual, ...] = ()
    flash_attention_default: bool = True
