"""The width of intervals: how measured speeds lie about expected ones, by engine, device and basis."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from fitcheck.schema.engine import Device
from fitcheck.schema.machine import Basis

# Fewer runs, or runs of fewer machines, say too little of a machine not among them.
MIN_RUNS, MIN_MACHINES = 12, 3

# The share of runs left out at each end: eight of ten are to lie between.
_TAIL = 0.1


class Residue(NamedTuple):
    """Measured over expected speed of one run, expected without its machine."""

    engine: str
    device: Device
    basis: Basis
    machine: str
    ratio: float


class Spread(NamedTuple):
    """Eight of ten runs lie between ``low`` and ``high`` times the expected speed."""

    low: float
    high: float
    runs: int
    machines: int
    of: str  # whose runs they are


def spread(residues: Sequence[Residue], engine: str, device: Device, basis: Basis) -> Spread:
    """The spread of the nearest class with enough runs, or of all on such a device.

    Raises ValueError where no run of the device is known.
    """
    on_device = [r for r in residues if r.device == device]
    same_basis = [r for r in on_device if r.basis == basis]
    own = [r for r in same_basis if r.engine == engine]
    if enough(own):
        return spread_of(own, f"{engine}'s runs")
    if enough(same_basis):
        return spread_of(same_basis, "the runs of all engines on this basis")
    if not on_device:
        raise ValueError(f"no run on a {device} is known")
    kind = "CPUs" if device == "cpu" else "GPUs"
    return spread_of(on_device, f"all runs on {kind}, too few of its own")


def enough(residues: Sequence[Residue]) -> bool:
    return len(residues) >= MIN_RUNS and len({r.machine for r in residues}) >= MIN_MACHINES


def spread_of(residues: Sequence[Residue], of: str) -> Spread:
    """Percentiles in which a machine's weight grows with the root of its runs, as in the fit.

    The machine that is asked about is one more, of one run, and may lie outside
    of all others: it counts at the end in question, as conformal prediction
    has it (Vovk, Gammerman and Shafer 2005). With few machines that widens the interval.
    """
    runs = Counter(r.machine for r in residues)
    weighted = sorted((r.ratio, runs[r.machine] ** -0.5) for r in residues)
    total = sum(weight for _, weight in weighted)
    low = weighted_quantile(weighted, (_TAIL * (total + 1) - 1) / total)
    high = weighted_quantile(weighted, (1 - _TAIL) * (total + 1) / total)
    return Spread(min(1.0, low), max(1.0, high), len(residues), len(runs), of)


def p90(errors: Sequence[float]) -> float:
    """The 90th percentile of ordered errors, each of equal weight."""
    return weighted_quantile([(error, 1.0) for error in errors], 0.9)


def weighted_quantile(weighted: Sequence[tuple[float, float]], share: float) -> float:
    """The least of the ordered (value, weight) pairs whose weights so far reach the share of all."""
    wanted, total = share * sum(weight for _, weight in weighted), 0.0
    for value, weight in weighted:
        total += weight
        if total >= wanted:
            return value
    return weighted[-1][0]
