"""Decode steps of a real shape, with plain reads of the same weights between their layers."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fitcheck.bench import native
from fitcheck.bench.energy import Meter
from fitcheck.bench.native.decoder import Decoder, Step
from fitcheck.bench.shape import DecodeShape

Progress = Callable[[float], None]

FILL_SHARE = 0.6  # of the progress bar: filling takes longer than the steps
LEAST_ROUNDS, MOST_ROUNDS = 5, 60
METERED_S = 2.0  # RAPL counts every millisecond; a battery says its power every second or so


@dataclass(frozen=True, slots=True)
class DecodeRun:
    """What each round showed, what the process kept in memory, and joules a token if metered."""

    steps: tuple[Step, ...]
    resident_bytes: int
    joules_per_step: float | None

    @property
    def read_bytes_per_s(self) -> tuple[float, ...]:
        return tuple(step.read_bytes_per_s for step in self.steps)


def run_decode(
    shape: DecodeShape,
    threads: int,
    depth: int,
    budget_s: float,
    *,
    progress: Progress | None = None,
    meter: Meter | None = None,
) -> DecodeRun:
    """Fill the shape with random weights, then decode.

    Every layer is followed by a plain read of another one: both rates are
    taken within milliseconds of each other, so that a machine which changes
    its speed changes it for both. Everything is given back however this ends.
    Raises NotEnoughMemory where the weights can't be mapped; the caller has
    checked that they fit.
    """
    tell = progress or (lambda share: None)
    with native.Pool(threads) as pool, _filled(shape, pool, tell) as decoder:
        decoder.step(depth, between=True)  # warm: page tables, clocks, the branch predictors
        steps = tuple(_rounds(decoder, depth, budget_s, tell))
        joules = _joules_per_step(decoder, depth, meter) if meter else None
        resident = resident_bytes()
    tell(1.0)
    return DecodeRun(steps, resident, joules)


@contextmanager
def _filled(shape: DecodeShape, pool: native.Pool, tell: Progress) -> Iterator[Decoder]:
    with Decoder(shape, pool) as decoder:
        for number in range(len(shape.layers)):
            decoder.fill_layer(number)
            tell(FILL_SHARE * (number + 1) / len(shape.layers))
        yield decoder


def _rounds(decoder: Decoder, depth: int, budget_s: float, tell: Progress) -> Iterator[Step]:
    """Steps with reads between their layers, until the time is up."""
    start = time.monotonic()
    for number in range(MOST_ROUNDS):
        spent = time.monotonic() - start
        if number >= LEAST_ROUNDS and spent > budget_s:
            return
        tell(FILL_SHARE + (1 - FILL_SHARE) * min(1.0, spent / budget_s))
        yield decoder.step(depth, between=True)


def _joules_per_step(decoder: Decoder, depth: int, meter: Meter) -> float | None:
    """What the machine takes while steps follow each other, as they do in use."""
    steps, start = 0, time.monotonic()
    meter.start()
    while not steps or time.monotonic() - start < METERED_S:
        decoder.step(depth)
        steps += 1
    joules = meter.stop()
    return joules / steps if joules else None


def resident_bytes() -> int:
    """What this process keeps in memory at the moment."""
    import psutil  # noqa: PLC0415 (30 ms that only a run needs)

    return int(psutil.Process().memory_info().rss)
