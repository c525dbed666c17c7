"""A whole benchmark run: kernels, the bandwidth beside them, the environment."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from fitcheck.bench.batches import measure_batches
from fitcheck.bench.environment import environment
from fitcheck.bench.kernels import Progress, measure_kernels
from fitcheck.bench.threads import threads_for
from fitcheck.footprint.formats import WEIGHT_TYPES
from fitcheck.schema.machine import KernelRate, Machine
from fitcheck.schema.measurement import Benchmark

# The C names of the kernels' formats are those of the weight types, in small letters; one lies in two ways.
TYPE_OF_KERNEL = {name.lower(): name for name in WEIGHT_TYPES} | {"trit5x64": "trit5"}


@dataclass(frozen=True, slots=True)
class BenchmarkRun:
    """What to print, and what to keep for predictions."""

    benchmark: Benchmark
    rates: tuple[KernelRate, ...]


def run_benchmark(
    machine: Machine,
    formats: Sequence[str],
    threads: int | None,
    buffer_bytes: int,
    *,
    batch: int | None = None,
    progress: Progress | None = None,
) -> BenchmarkRun:
    """Measure the kernels on huge pages with ``threads`` threads (all where None).

    ``batch`` asks for so many tokens at once, too. Raises BadInput for threads that the machine hasn't.
    """
    threads = threads_for(machine, threads)
    surroundings = environment(machine, "huge")
    kernels = measure_kernels(formats, threads, buffer_bytes, progress=progress)
    benchmark = Benchmark(
        machine=machine.name,
        threads=threads,
        pages="huge",
        read_bandwidth_bytes_per_s=median(rate for kernel in kernels for rate in kernel.raw_read),
        kernels=kernels,
        environment=surroundings,
        batches=measure_batches(formats, threads, buffer_bytes, batch) if batch else (),
    )
    rates = tuple(
        KernelRate(
            TYPE_OF_KERNEL[kernel.format], kernel.isa, kernel.cached_weights_per_s_per_core, "measured"
        )
        for kernel in kernels
    )
    return BenchmarkRun(benchmark, rates)
