"""Our own runs: ``profiles/measurements/own``, one CSV file a machine, each row with the reads of its minute.

Bandwidths stand in GB/s: the median read of 512 MiB through 4 KiB and huge
pages, by one thread and by two, right before the run and right after it. Of
later runs the core was timed then, too: fitcheck's own kernels from the cache,
in 10^9 weights a second, the best of nine rounds. I2_S is the yardstick; trit5's
kernel has changed since.
Of a run with a draft stand the tokens it guessed a pass, the share that was
taken (such that the model's formula yields as many tokens a pass as there
were), and the draft's file size.
``others`` is how many cores somebody else kept busy meanwhile; ``use`` says
whether a figure of the engine's profile was set from the run.
"""

from collections.abc import Iterator
from typing import cast

from fitcheck.accuracy.case import Case
from fitcheck.footprint.reads import read_groups
from fitcheck.schema.accuracy import OwnRun, PublishedRun
from fitcheck.schema.machine import KernelRate, Machine, Pages, ReadBandwidth
from fitcheck.schema.request import FlashAttention
from fitcheck.sources.catalog import load_model
from fitcheck.sources.csv_rows import Columns, read_rows
from fitcheck.sources.profiles import profiles_directory, read_toml
from fitcheck.units import GB

_STEADY = 0.15  # of a read: the memory of a virtual machine has two speeds, half of one another
_IDLE = 0.3  # cores that were busy with something else
_THREADS = (1, 2)
_CORE = ("I2_S", "avx512vnni")


def load_own_runs() -> tuple[OwnRun, ...]:
    """Every run of ours. Raises BadInput for a faulty file."""
    return read_rows("measurements/own", _run)


def own_case(own: OwnRun) -> Case:
    """The run with its model, on its machine as it was in that minute."""
    model = load_model(own.run.model)
    return Case(own.run, model, _machine(own), read_groups(model, own.run.format))


def _machine(own: OwnRun) -> Machine:
    table = read_toml(profiles_directory() / "measurements" / "own" / f"{own.run.machine}.toml")
    return Machine(
        name=own.run.hardware,
        source=table["source"],
        ram_bytes=None,
        arch=table["arch"],
        cores=table["cores"],
        threads=table["cores"],
        simd=tuple(table["simd"]),
        bandwidth_bytes_per_s=max(read.bytes_per_s for read in own.reads),
        bandwidth_basis="measured",
        read_bandwidth=own.reads,
        kernel_rates=own.kernel_rates,
    )


def _run(machine: str, row: Columns) -> OwnRun:
    threads = int(row["threads"])
    before, after = (float(row[f"read_4k_{threads}_{when}"]) for when in ("before", "after"))
    return OwnRun(
        PublishedRun(
            collection="own",
            machine=machine,
            device="cpu",
            cards=1,
            model=row["model"],
            format=row["format"],
            rest_type=None,
            engine=row["engine"],
            threads=threads,
            depth=int(row["depth"]),
            flash_attention=cast(FlashAttention, row["flash_attention"]),
            tokens_per_s=float(row["tokens_per_s"]),
            end_to_end=False,
            excluded=None,
            hardware=machine,
            published_model=row["model"],
            published_format=row["format"],
            published_engine=row["engine"],
            source=f"profiles/measurements/own/{machine}.csv",
            kv_type=row["kv_type"],
            batch=int(row["batch"]),
            speculate=int(row["speculate"]),
            accept=float(row["accept"]),
            draft_bytes=int(row["draft_bytes"]),
        ),
        tuple(_read(row, pages, threads) for pages in ("4k", "huge") for threads in _THREADS),
        tuple(_kernel_rates(row)),
        steady=abs(before / after - 1) < _STEADY and float(row["others"]) < _IDLE,
        fitted=row["use"] == "fitted",
    )


def _read(row: Columns, pages: str, threads: int) -> ReadBandwidth:
    """The mean of both reads; the better one is what nothing exceeds."""
    seen = [GB * float(row[f"read_{pages}_{threads}_{when}"]) for when in ("before", "after")]
    return ReadBandwidth(threads, cast(Pages, pages), sum(seen) / 2, max(seen))


def _kernel_rates(row: Columns) -> Iterator[KernelRate]:
    """The mean of those before and after; none of the runs beside which no core was timed."""
    seen = [row[f"core_{_CORE[0].lower()}_{when}"] for when in ("before", "after")]
    if all(seen):
        yield KernelRate(*_CORE, 1e9 * sum(map(float, seen)) / 2, "measured")
