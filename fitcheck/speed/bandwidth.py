"""What readers achieve on a machine's memory, and how sure that is."""

from typing import NamedTuple

from fitcheck.schema.machine import Basis, Gpu, Machine, Pages

# Read bandwidth over channels x transfer rate, where no measurement is at hand.
# Published reads: dual DDR4-3200 90 %, DDR5-4800 91 and 99 %, DDR5-6500 83 %,
# DDR5-6000 with four modules 58 to 63 %, 12-channel servers 48 to 97 %,
# Raspberry Pi 5 77 %: the median is 82 %. Sources stand in profiles/machines.
TYPICAL_SHARE_OF_PEAK = 0.80

# Dual-channel DDR4-3200 is the commonest memory of the last ten years: the
# figure for a machine of which nothing at all is known. An RTX 3060's stands in
# for a graphics card of unknown bandwidth.
ASSUMED_PEAK = 51.2e9
ASSUMED_GPU_PEAK = 360e9

# 4 KiB pages against huge pages, two threads: 0.80 on a 2-core Zen 5 virtual
# machine, 0.90 on a 2-core Zen 4 one. Apple's pages, and those of many other
# Arm systems, have 16 KiB: published decode speeds there reach the plain reads.
SMALL_PAGE_SHARE = 0.88

# What one core can draw, however wide the memory: a 7950X core streamed 52 GB/s
# of Q6_K (ik_llama.cpp PR 139); server cores, further from their memory, 30 to
# 43 (EPYC 9xx4 and 9xx5 virtual machines), an EPYC 7V13's 18 with bitnet.cpp.
_DESKTOP_CORE, _SERVER_CORE = 50e9, 30e9
_SERVER_PEAK = 150e9  # more than two channels


class Bandwidth(NamedTuple):
    """Bytes per second read by all threads together; ``limit`` is never exceeded."""

    bytes_per_s: float
    limit_bytes_per_s: float
    basis: Basis


def read_bandwidth(machine: Machine, threads: int | None, pages: Pages) -> Bandwidth:
    """The bandwidth ``threads`` reading threads share (all of them where None)."""
    if given := _given(machine):
        return given
    if machine.read_bandwidth:
        return _measured(machine, threads, pages)
    return _derived(machine, threads, pages)


def crosses_sockets(machine: Machine) -> bool:
    """Whether threads read memory beside another socket than their own.

    Virtual machines make sockets up: theirs count where each has memory of its
    own. What a person typed for the bandwidth is taken as what is reached.
    """
    system = machine.system
    if system is None or (system.sockets or 1) < 2 or _given(machine):
        return False
    return system.hypervisor in (None, "none") or len(machine.numa) > 1


def gpu_bandwidth(machine: Machine, gpu: Gpu) -> Bandwidth:
    """What the GPU's memory could deliver by its data sheet; engines reach a share of it.

    What was typed for the bandwidth is the RAM's, where the GPU has memory of its own beside it.
    """
    alone = machine.unified_memory or machine.ram_bytes is None
    if alone and (given := _given(machine)):
        return given
    peak = gpu.bandwidth_bytes_per_s or (
        machine.peak_bandwidth_bytes_per_s if machine.unified_memory else None
    )
    if peak is None:
        return Bandwidth(ASSUMED_GPU_PEAK, ASSUMED_GPU_PEAK, "assumed")
    return Bandwidth(peak, max(peak, gpu.achieved_bytes_per_s or 0.0), "spec")


def _given(machine: Machine) -> Bandwidth | None:
    """What a person typed for the bandwidth, which nothing exceeds."""
    rate = machine.bandwidth_bytes_per_s if "bandwidth" in machine.overrides else None
    return Bandwidth(rate, rate, machine.bandwidth_basis) if rate else None


def _measured(machine: Machine, threads: int | None, pages: Pages) -> Bandwidth:
    """Pick the figure for these pages and threads; the limit is the best one seen.

    More threads than were measured read no faster than the most that were.
    """
    best = max(row.best_bytes_per_s or row.bytes_per_s for row in machine.read_bandwidth)
    same = [row for row in machine.read_bandwidth if row.pages == pages] or list(machine.read_bandwidth)
    within = [row for row in same if threads is None or row.threads <= threads]
    chosen = max(row.bytes_per_s for row in within or same)
    return Bandwidth(chosen, max(best, machine.peak_bandwidth_bytes_per_s or 0), "measured")


def _derived(machine: Machine, threads: int | None, pages: Pages) -> Bandwidth:
    """From a published read, else from the data sheet, else from nothing."""
    peak = machine.peak_bandwidth_bytes_per_s
    achieved = machine.bandwidth_bytes_per_s
    basis: Basis = machine.bandwidth_basis if achieved else "spec" if peak else "assumed"
    ceiling = max(peak or 0.0, achieved or 0.0) or ASSUMED_PEAK
    whole = achieved or ceiling * TYPICAL_SHARE_OF_PEAK
    cores = threads or machine.cores or machine.threads
    reading = min(whole, cores * _one_core(machine, ceiling)) if cores else whole
    share = SMALL_PAGE_SHARE if pages == "4k" and machine.arch != "aarch64" else 1.0
    return Bandwidth(reading * share, ceiling, basis)


def _one_core(machine: Machine, peak: float) -> float:
    server = machine.arch == "x86_64" and peak > _SERVER_PEAK
    return _SERVER_CORE if server else _DESKTOP_CORE
