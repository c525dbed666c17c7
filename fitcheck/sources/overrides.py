"""A Machine with what a person typed put in its place: other RAM, other memory modules, other cores.

Each override is named in ``Machine.overrides``, so that every face can say what is imagined.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from fitcheck.errors import BadInput
from fitcheck.schema.machine import Machine

# A DDR channel is 64 bits wide; LPDDR's narrower ones are counted by sellers in the same unit.
CHANNEL_BYTES = 8

_BUS = re.compile(r"(\d{1,2})\s*[x×*]\s*(?:lp)?(?:ddr\d[a-z]*-)?(\d{3,5})(?:\s*mt/s)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Bus:
    """Memory as it is sold: 64-bit channels and transfers a second."""

    channels: int
    transfers_per_s: float

    @property
    def peak_bytes_per_s(self) -> float:
        return self.channels * CHANNEL_BYTES * self.transfers_per_s


@dataclass(frozen=True, slots=True)
class Overrides:
    """What to put in place of the machine's own; None leaves it as it is."""

    ram_bytes: int | None = None
    bandwidth_bytes_per_s: float | None = None
    bus: Bus | None = None
    threads: int | None = None
    simd: tuple[str, ...] | None = None


def parse_bus(text: str) -> Bus:
    """``2x5600`` or ``2 x DDR5-5600``: channels and 10**6 transfers a second. Raises BadInput."""
    match = _BUS.fullmatch(text.strip())
    if match is None or not int(match[1]) or not int(match[2]):
        raise BadInput(f"{text[:40]!r} is no memory bus", "write channels x MT/s, as 2x5600")
    return Bus(int(match[1]), int(match[2]) * 1e6)


def imagine(machine: Machine, overrides: Overrides) -> Machine:
    """The machine with the overrides in their place."""
    if overrides.ram_bytes is not None:
        # An imagined size: what is free now and a container's limit don't apply.
        machine = _with(
            machine, "ram", ram_bytes=overrides.ram_bytes, available_bytes=None, limit_bytes=None, numa=()
        )
    if overrides.bus is not None:
        machine = _with_bus(machine, overrides.bus)
    if overrides.bandwidth_bytes_per_s is not None:
        given = overrides.bandwidth_bytes_per_s
        machine = _with(machine, "bandwidth", bandwidth_bytes_per_s=given, bandwidth_basis="spec")
    if overrides.threads is not None:
        cores = overrides.threads if overrides.threads > (machine.threads or 0) else machine.cores
        machine = _with(machine, "threads", threads=overrides.threads, cores=cores)
    if overrides.simd is not None:
        # Rates measured with other instructions say nothing about these.
        machine = _with(machine, "simd", simd=overrides.simd, kernel_rates=())
    return machine


def _with_bus(machine: Machine, bus: Bus) -> Machine:
    """Other modules: what was read from the old ones no longer holds."""
    return _with(
        machine,
        "memory",
        peak_bandwidth_bytes_per_s=bus.peak_bytes_per_s,
        bandwidth_bytes_per_s=None,
        bandwidth_basis="spec",
        read_bandwidth=(),
        memory=None,
    )


def _with(machine: Machine, what: str, **changes: Any) -> Machine:
    return replace(machine, overrides=(*machine.overrides, what), **changes)
