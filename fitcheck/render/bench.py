"""A benchmark, for people."""

from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fitcheck.render.plain import plain_table
from fitcheck.schema.measurement import BatchMeasurement, Benchmark, KernelMeasurement
from fitcheck.units import GB, counted, gb_per_s


def print_benchmark(benchmark: Benchmark, file: TextIO) -> None:
    console = Console(file=file, highlight=False)
    console.print(
        f"{benchmark.machine}, {counted(benchmark.threads, 'thread')}, {benchmark.pages} pages; "
        f"plain reads in the same rounds: {gb_per_s(benchmark.read_bandwidth_bytes_per_s)}"
    )
    console.print()
    console.print(_table(benchmark))
    if benchmark.batches:
        console.print()
        console.print(_batch_table(benchmark.batches))
    doubts = [(kernel.format, kernel.unstable_why) for kernel in benchmark.kernels]
    doubts += [(f"{batch.tokens} x {batch.format}", batch.unstable_why) for batch in benchmark.batches]
    for name, why in doubts:
        if why:
            console.print(Text(f"{name} is unstable: {why}", style="dim"))


def _table(benchmark: Benchmark) -> Table:
    table = plain_table()
    table.add_column("format")
    table.add_column("kernel")
    for heading in ("10⁹ weights/s", "GB/s", "of the read", "one core, cached", ""):
        table.add_column(heading, justify="right")
    for kernel in benchmark.kernels:
        table.add_row(*_cells(kernel))
    return table


def _cells(kernel: KernelMeasurement) -> tuple[str, ...]:
    return (
        kernel.format,
        kernel.isa,
        f"{kernel.weights_per_s / GB:.1f}",
        f"{kernel.bytes_per_s / GB:.1f}",
        f"{kernel.share_of_read_bandwidth:.0%}",
        f"{kernel.cached_weights_per_s_per_core / GB:.1f}",
        "" if kernel.stable else "unstable",
    )


def _batch_table(batches: Sequence[BatchMeasurement]) -> Table:
    table = plain_table()
    table.add_column(f"{batches[0].tokens} tokens")
    table.add_column("kernel")
    for heading in ("10⁹ weights x tokens/s", "cost, in products with one", "a token's share", ""):
        table.add_column(heading, justify="right")
    for batch in batches:
        table.add_row(
            batch.format,
            batch.isa,
            f"{batch.token_weights_per_s / GB:.1f}",
            f"{batch.cost:.2f}",
            f"{batch.cost / batch.tokens:.0%}",
            "" if batch.stable else "unstable",
        )
    return table
