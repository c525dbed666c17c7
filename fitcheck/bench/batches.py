"""A few tokens at once beside one: what the second token costs."""

from collections.abc import Sequence
from statistics import median

from fitcheck.bench import native
from fitcheck.bench.kernels import CHECKED_ROWS, COLS, ROUNDS
from fitcheck.bench.statistics import disagreement, ratios
from fitcheck.errors import FitcheckError
from fitcheck.schema.measurement import BatchMeasurement


def measure_batches(
    formats: Sequence[str], threads: int, buffer_bytes: int, tokens: int
) -> tuple[BatchMeasurement, ...]:
    """Time each format's product with ``tokens`` vectors, streaming from huge pages.

    Raises FitcheckError where a kernel disagrees with the scalar one.
    """
    with native.Pool(threads) as pool:
        return tuple(_measure(name, pool, buffer_bytes, tokens) for name in formats)


def _measure(name: str, pool: native.Pool, buffer_bytes: int, tokens: int) -> BatchMeasurement:
    rows = max(1, buffer_bytes // native.row_bytes(name, COLS))
    single: list[float] = []
    together: list[float] = []
    with native.Matrix(name, rows, COLS, pool) as matrix:
        batch = native.Batch(matrix, tokens)
        if batch.mismatches(rows=CHECKED_ROWS):
            raise FitcheckError(
                f"the {name} kernel for {tokens} tokens differs from scalar, so it is not timed",
                f"report it; {native.ISA_VARIABLE}=scalar works meanwhile",
            )
        matrix.time(1)
        for _ in range(ROUNDS):
            single += matrix.time(1).seconds
            together += (timing := batch.time(1)).seconds
    costs = ratios(together, single)
    why = disagreement(costs)
    return BatchMeasurement(
        format=name,
        isa=timing.isa,
        threads=pool.threads,
        tokens=tokens,
        token_weights_per_s=timing.weights * tokens / median(together),
        cost=median(costs),
        raw=tuple(together),
        raw_single=tuple(single),
        stable=why is None,
        unstable_why=why,
    )
