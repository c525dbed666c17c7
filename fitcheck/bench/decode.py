"""Decode steps of a real shape beside plain reads of the same weights."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fitcheck.bench import native
from fitcheck.bench.native.decoder import Decoder, arena_bytes
from fitcheck.bench.shape import DecodeShape

Progress = Callable[[float], None]

FILL_SHARE = 0.6  # of the progress bar: filling takes longer than the steps
LEAST_ROUNDS, MOST_ROUNDS = 5, 60


@dataclass(frozen=True, slots=True)
class DecodeRun:
    """Seconds of each round's step and bytes per second of the plain read beside it."""

    layers_s: tuple[float, ...]
    output_s: tuple[float, ...]
    read_bytes_per_s: tuple[float, ...]
    resident_bytes: int


def run_decode(
    shape: DecodeShape, threads: int, depth: int, budget_s: float, progress: Progress | None = None
) -> DecodeRun:
    """Fill the shape with random weights, then take reads and steps in turn.

    Everything is given back however this ends. Raises NotEnoughMemory where
    the weights can't be mapped; the caller has checked that they fit.
    """
    tell = progress or (lambda share: None)
    with native.Pool(threads) as pool, _filled(shape, pool, tell) as decoder:
        decoder.step(depth)  # warm: page tables, clocks, the branch predictors
        rounds = list(_rounds(decoder, pool, depth, budget_s, tell))
        resident = resident_bytes()
    tell(1.0)
    steps = [step for step, _ in rounds]
    return DecodeRun(
        tuple(layers for layers, _ in steps),
        tuple(output for _, output in steps),
        tuple(read for _, read in rounds),
        resident,
    )


@contextmanager
def _filled(shape: DecodeShape, pool: native.Pool, tell: Progress) -> Iterator[Decoder]:
    with Decoder(shape, pool) as decoder:
        for number in range(len(shape.layers)):
            decoder.fill_layer(number)
            tell(FILL_SHARE * (number + 1) / len(shape.layers))
        yield decoder


def _rounds(
    decoder: Decoder, pool: native.Pool, depth: int, budget_s: float, tell: Progress
) -> Iterator[tuple[tuple[float, float], float]]:
    """A step and the rate of reading all weights around it, until the time is up.

    The rate is that of the reads just before and just after the step, taken
    together: a machine that changes its speed meanwhile is met half-way.
    """
    size = arena_bytes(decoder.shape) // 1024 * 1024
    start = time.monotonic()
    before = native.read_seconds(pool, decoder.arena, size)[0]
    for number in range(MOST_ROUNDS):
        spent = time.monotonic() - start
        if number >= LEAST_ROUNDS and spent > budget_s:
            return
        tell(FILL_SHARE + (1 - FILL_SHARE) * min(1.0, spent / budget_s))
        step = decoder.step(depth)
        after = native.read_seconds(pool, decoder.arena, size)[0]
        yield step, 2 * size / (before + after)
        before = after


def resident_bytes() -> int:
    """What this process keeps in memory at the moment."""
    import psutil  # noqa: PLC0415 (30 ms that only a run needs)

    return int(psutil.Process().memory_info().rss)
