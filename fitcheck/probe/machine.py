"""The public door: this machine as a Machine, with what was ever measured on it."""

import sys
import time
from dataclasses import replace

from fitcheck.bench.bandwidth import DEFAULT_BUFFER_BYTES, Progress, measure_read_bandwidth
from fitcheck.errors import NativeMissing, NotEnoughMemory
from fitcheck.probe.cache import Remembered, recall, remember, remember_gpus
from fitcheck.probe.disk import remembered_disk, with_disk
from fitcheck.probe.files import Files
from fitcheck.probe.gpu import nvidia_fingerprint, query_nvidia
from fitcheck.schema.machine import Gpu, Machine, Pages, ReadBandwidth
from fitcheck.units import GIB, MIB, gb_per_s

_BUFFER_OF_CACHE = 4  # a read buffer this many times the last-level caches can't live in them
_MOST_BUFFER = 2 * GIB
_SHARE_OF_AVAILABLE = 8  # two buffers together take at most a quarter
_OLD_DAYS = 180
_BUSY_RATIO = 1.25  # an idle machine's best pass lies within some percent of its median

NOT_MEASURED = "read bandwidth was never measured here: run `fitcheck probe`"


def probe_machine(fresh: bool = False, *, measure: bool = False, progress: Progress | None = None) -> Machine:
    """Describe this machine, in milliseconds unless something is to be measured.

    ``measure`` measures what the cache doesn't hold (memory in under 3 s, the
    disk in under 2 s), ``fresh`` all of it, and asks the GPU driver again.
    Without either, the cache's figures
    are used and nothing is measured. What can't be found out is None; never raises
    for what a machine looks like.
    """
    machine = _static()
    remembered = recall(machine)
    machine = _with_nvidia(machine, remembered, fresh)
    machine = _with_remembered(machine, remembered)
    machine = remembered_disk(machine, remembered.disk)
    if fresh or measure:
        machine = with_disk(machine, fresh=fresh)
    if fresh or (measure and not machine.read_bandwidth):
        return _measured(machine, progress)
    return machine if machine.read_bandwidth else _noted(machine, NOT_MEASURED)


def _static() -> Machine:
    """The part that files and the operating system tell."""
    if sys.platform == "linux":
        from fitcheck.probe.linux import read_machine, this_process  # noqa: PLC0415 (one system of three)

        return _named(read_machine(Files(), this_process()))
    if sys.platform == "darwin":
        from fitcheck.probe.darwin import read_machine as read_mac  # noqa: PLC0415

        return _asked(_named(read_mac()))
    from fitcheck.probe.windows import read_machine as read_windows  # noqa: PLC0415

    return _asked(_named(read_windows()))


def _asked(machine: Machine) -> Machine:
    """With the features CPUID tells. Linux lists the same ones; other systems leave some out."""
    from fitcheck.bench import native  # noqa: PLC0415 (loads the extension)

    return replace(machine, simd=native.cpu_features()) if native.available() else machine


def _named(machine: Machine) -> Machine:
    """With a name for the CPU and a size for the RAM where the fast way found none."""
    if machine.ram_bytes is not None and machine.cpu is not None:
        return machine
    from fitcheck.probe.fallback import fill  # noqa: PLC0415 (psutil and py-cpuinfo: slow)

    return fill(machine)


def _with_nvidia(machine: Machine, remembered: Remembered, fresh: bool) -> Machine:
    """The NVIDIA cards, from the cache while the driver lists the same ones."""
    fingerprint = nvidia_fingerprint(Files()) if sys.platform == "linux" else None
    if fingerprint is None:
        return machine
    if fingerprint == remembered.gpus_fingerprint and not fresh:
        return _with_gpus(machine, remembered.gpus, remembered.gpus_unified)
    found = query_nvidia()
    note = remember_gpus(machine, found.gpus, found.unified, fingerprint)
    return _noted(_with_gpus(machine, found.gpus, found.unified), *found.notes, note)


def _with_gpus(machine: Machine, gpus: tuple[Gpu, ...], unified: bool) -> Machine:
    return replace(machine, gpus=(*gpus, *machine.gpus), unified_memory=unified)


def _with_remembered(machine: Machine, remembered: Remembered) -> Machine:
    rows = remembered.read_bandwidth
    machine = replace(machine, kernel_rates=remembered.kernel_rates)
    return (
        _noted(_with_bandwidth(machine, rows), _age(remembered.read_bandwidth_taken_at)) if rows else machine
    )


def _with_bandwidth(machine: Machine, rows: tuple[ReadBandwidth, ...]) -> Machine:
    best = max(row.bytes_per_s for row in rows)
    return replace(machine, read_bandwidth=rows, bandwidth_bytes_per_s=best, bandwidth_basis="measured")


def _age(taken_at: float | None) -> str | None:
    """A note on figures so old that somebody may have changed the memory since."""
    days = 0 if taken_at is None else int((time.time() - taken_at) / 86400)
    if days < _OLD_DAYS:
        return None
    return f"read bandwidth was measured {days} days ago; --fresh measures again"


def _measured(machine: Machine, progress: Progress | None) -> Machine:
    """With the read bandwidth measured now, and kept for the next time."""
    try:
        rows = measure_read_bandwidth(
            machine.threads or 1, progress=progress, buffer_bytes=buffer_bytes(machine), pages=_pages(machine)
        )
    except (NativeMissing, NotEnoughMemory) as error:
        return _noted(machine, f"{error.message}; {error.remedy}")
    return _noted(_with_bandwidth(machine, rows), remember(machine, read_bandwidth=rows), _busy(rows))


def _busy(rows: tuple[ReadBandwidth, ...]) -> str | None:
    """A note where the passes differ so much that something else was reading too."""
    top = max(rows, key=lambda row: row.bytes_per_s)
    best = top.best_bytes_per_s or top.bytes_per_s
    if best < _BUSY_RATIO * top.bytes_per_s:
        return None
    return f"the machine was busy: its best pass read {gb_per_s(best)}; measure again with --fresh when idle"


def buffer_bytes(machine: Machine) -> int:
    """Bytes to read so that the caches don't answer, within what memory is free."""
    last = max((cache.level for cache in machine.caches), default=0)
    cached = sum(cache.size_bytes * cache.count for cache in machine.caches if cache.level == last)
    wanted = max(DEFAULT_BUFFER_BYTES, min(_MOST_BUFFER, _BUFFER_OF_CACHE * cached))
    free = machine.available_bytes
    size = wanted if free is None else min(wanted, free // _SHARE_OF_AVAILABLE)
    return max(MIB, size // MIB * MIB)


def _pages(machine: Machine) -> tuple[Pages, ...]:
    """Where the kernel gives no huge pages there is one kind only."""
    never = machine.system is not None and machine.system.transparent_huge_pages == "never"
    return ("4k",) if never else ("huge", "4k")


def _noted(machine: Machine, *notes: str | None) -> Machine:
    return replace(machine, notes=(*machine.notes, *(note for note in notes if note)))
