"""Packed kernels beside the read bandwidth: checked first, then timed in pairs.

Every round reads the packed bytes plainly and multiplies by them right after,
so the share of the read bandwidth is a ratio within a few milliseconds and
holds when the machine's speed drifts.
"""

from collections.abc import Callable, Sequence
from statistics import median

from fitcheck.bench import native
from fitcheck.bench.statistics import doubt, ratios
from fitcheck.errors import FitcheckError
from fitcheck.schema.machine import Pages
from fitcheck.schema.measurement import KernelMeasurement
from fitcheck.units import MIB

COLS = 8192  # the rows of a 70B model's attention matrices
CACHED_BYTES = MIB // 4  # stays in the second-level cache of any core of the last ten years
# Rows that lie together share tables of sums, so few would show the tables, not the rows; columns give way.
CACHED_ROWS_TOGETHER, CACHED_COLS_STEP = 512, 960
CHECKED_ROWS = 64
WHOLE_ROWS = (
    256  # tiles of rows that lie together: a number that is no multiple of them would make small ones
)
ROUNDS = 15
CACHED_ROUNDS, CACHED_PASSES = 9, 40

Progress = Callable[[float], None]


def measure_kernels(
    formats: Sequence[str],
    threads: int,
    buffer_bytes: int,
    pages: Pages = "huge",
    progress: Progress | None = None,
) -> tuple[KernelMeasurement, ...]:
    """Time each format's kernel; formats without one are for the caller to leave out.

    Raises FitcheckError where a kernel disagrees with the scalar one: such a
    kernel is never timed. NativeMissing without the C extension.
    """
    tell = progress or (lambda share: None)
    found = []
    with native.Pool(threads) as pool, native.Pool(1) as single:
        for done, name in enumerate(formats):
            tell(done / len(formats))
            cached = _cached_rate(name, single)
            found.append(_streaming(name, pool, buffer_bytes, pages, cached))
    tell(1.0)
    return tuple(found)


def cached_rate(format_name: str, cols: int = COLS) -> float:
    """Weights a second of one core whose weights lie in its cache, in rows of ``cols``."""
    with native.Pool(1) as single:
        return _cached_rate(format_name, single, cols)


def _cached_rate(name: str, single: native.Pool, cols: int = COLS) -> float:
    with native.Matrix(name, *cached_shape(name, cols), single) as matrix:
        check(name, matrix)
        timing = matrix.time(CACHED_ROUNDS, CACHED_PASSES)
    # The best round: whatever else runs can only slow a core down.
    return timing.weights * timing.passes / min(timing.seconds)


def cached_shape(name: str, cols: int) -> tuple[int, int]:
    """Rows and columns of a matrix that stays in the cache."""
    if native.rows_together(name) == 1:
        return max(8, CACHED_BYTES // native.row_bytes(name, cols)), cols
    fitting = CACHED_BYTES * cols // native.matrix_bytes(name, CACHED_ROWS_TOGETHER, cols)
    whole = min(cols, fitting) // CACHED_COLS_STEP * CACHED_COLS_STEP
    return CACHED_ROWS_TOGETHER, whole or cols


def _streaming(
    name: str, pool: native.Pool, buffer_bytes: int, pages: Pages, cached: float
) -> KernelMeasurement:
    rows = max(1, buffer_bytes // native.row_bytes(name, COLS) // WHOLE_ROWS * WHOLE_ROWS)
    reads: list[float] = []
    products: list[float] = []
    with native.Matrix(name, rows, COLS, pool, pages) as matrix:
        check(name, matrix)
        matrix.time(1)  # warm: page tables, clocks, the pool
        for _ in range(ROUNDS):
            reads += matrix.read_seconds(1)
            products += (timing := matrix.time(1)).seconds
        size = matrix.size_bytes
    shares = ratios(reads, products)
    why = doubt(shares, [size / seconds for seconds in reads])
    return KernelMeasurement(
        format=name,
        isa=timing.isa,
        threads=pool.threads,
        weights_per_s=timing.weights / median(products),
        bytes_per_s=size / median(products),
        cached_weights_per_s_per_core=cached,
        share_of_read_bandwidth=median(shares),
        raw=tuple(size / seconds for seconds in products),
        raw_read=tuple(size / seconds for seconds in reads),
        stable=why is None,
        unstable_why=why,
    )


def check(name: str, matrix: native.Matrix) -> None:
    wrong = matrix.mismatches(rows=CHECKED_ROWS)
    if wrong:
        raise FitcheckError(
            f"the {name} kernel for {native.kernel_isa(name)} differs from scalar, so it is not timed",
            f"report it; {native.ISA_VARIABLE}=scalar works meanwhile",
        )
