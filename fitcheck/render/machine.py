"""A probed machine, for people."""

from collections.abc import Iterable
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fitcheck.render.plain import plain_table
from fitcheck.schema.machine import Machine, Storage
from fitcheck.speed.disk import disk_of
from fitcheck.units import KIB, MIB, counted, gb_per_s, gib

_UNKNOWN = "unknown"


def print_machine(machine: Machine, file: TextIO) -> None:
    console = Console(file=file, highlight=False)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column()
    for label, text in _facts(machine):
        grid.add_row(label, text)
    console.print(grid)
    if machine.read_bandwidth:
        console.print()
        console.print(_bandwidth_table(machine))
    for note in machine.notes:
        console.print(Text(note, style="dim"))


def _facts(machine: Machine) -> Iterable[tuple[str, str]]:
    yield "CPU", f"{machine.cpu or _UNKNOWN} ({machine.arch or _UNKNOWN})"
    threads = counted(machine.threads or _UNKNOWN, "thread")
    yield "cores", f"{machine.cores or _UNKNOWN}, {threads} for this process"
    yield "SIMD", " ".join(machine.simd) or _UNKNOWN
    yield "RAM", _memory(machine)
    if machine.caches:
        yield (
            "caches",
            ", ".join(f"L{c.level} {c.kind} {c.count} × {_cache_size(c.size_bytes)}" for c in machine.caches),
        )
    if len(machine.numa) > 1:
        yield "NUMA", ", ".join(f"node {n.node}: {n.cpus} CPUs, {gib(n.ram_bytes)}" for n in machine.numa)
    for gpu in machine.gpus:
        yield "GPU", f"{gpu.name}, {gib(gpu.vram_bytes)}"
    if machine.storage is not None:
        yield "disk", _disk(machine.storage)


def _disk(storage: Storage) -> str:
    """Its name and kind, and the rate of reads with where that comes from."""
    rate = disk_of(storage)
    return f"{storage.device} ({storage.kind}), reads {gb_per_s(rate.bytes_per_s)} ({rate.basis})"


def _memory(machine: Machine) -> str:
    if machine.ram_bytes is None:
        return _UNKNOWN
    parts = [gib(machine.ram_bytes)]
    if machine.limit_bytes:
        parts.append(f"limited to {gib(machine.limit_bytes)}")
    if machine.available_bytes is not None:
        parts.append(f"{gib(machine.available_bytes)} free now")
    return ", ".join(parts)


def _cache_size(size: int) -> str:
    return f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB"


def _bandwidth_table(machine: Machine) -> Table:
    """Read bandwidth by threads, one column a page size."""
    table = plain_table()
    table.add_column("threads", justify="right")
    for heading in ("huge pages", "4 KiB pages"):
        table.add_column(heading, justify="right")
    rates = {(row.threads, row.pages): row.bytes_per_s for row in machine.read_bandwidth}
    for threads in sorted({row.threads for row in machine.read_bandwidth}):
        cells = [rates.get((threads, pages)) for pages in ("huge", "4k")]
        table.add_row(str(threads), *(gb_per_s(cell) if cell else _UNKNOWN for cell in cells))
    return table
