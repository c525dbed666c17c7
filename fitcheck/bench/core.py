"""How fast a core is at this very moment: one kernel over weights that stay in its cache.

Not the best round of many, which tells what the core can do, but all of a tenth
of a second: whoever shares the core with us takes as much of an engine, too.
Several threads share every product and wait for the last, as an engine's do.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from fitcheck.bench import native
from fitcheck.bench.kernels import CACHED_PASSES, COLS, cached_shape, check
from fitcheck.schema.engine import TypeRate

READING_S = 0.12


@dataclass(frozen=True, slots=True)
class CoreClock:
    """A kernel ready to be timed, and what it did on the core that an engine's rates come from."""

    yardstick: TypeRate
    threads: int
    reading: Callable[[], float]  # weights a second of one of the threads, over READING_S


@contextmanager
def clock_of(reference: Sequence[TypeRate], threads: int) -> Iterator[CoreClock | None]:
    """The first of these kernels that this machine runs; None where it runs others.

    Raises FitcheckError where that kernel disagrees with the scalar one: it is
    never timed then. NativeMissing without the C extension.
    """
    row = next((row for row in reference if native.kernel_isa(row.type) == row.isa), None)
    if row is None:
        yield None
        return
    rows, cols = cached_shape(row.type, COLS)
    with native.Pool(threads) as pool, native.Matrix(row.type, threads * rows, cols, pool) as matrix:
        check(row.type, matrix)
        yield CoreClock(row, threads, lambda: _reading(matrix) / threads)


def _reading(matrix: native.Matrix) -> float:
    """Of all threads together."""
    matrix.time(1, CACHED_PASSES)  # warm: the engine left the cache full of its own
    products, seconds, end = 0, 0.0, perf_counter() + READING_S
    while not products or perf_counter() < end:
        timing = matrix.time(1, CACHED_PASSES)
        products += timing.weights * timing.passes
        seconds += timing.seconds[0]
    return products / seconds
