"""A Linux machine, from /proc and /sys alone.

What a broken or hidden file would have told stays None: unknown is not zero.
"""

import os
from typing import Literal, NamedTuple

from fitcheck.probe.cgroup import Limits, read_limits
from fitcheck.probe.cpu import Processor, read_processor
from fitcheck.probe.files import Files, fields
from fitcheck.probe.gpu import read_drm
from fitcheck.probe.modules import read_modules
from fitcheck.probe.storage import read_storage
from fitcheck.probe.topology import caches, cores, numa_nodes, online_cpus, sockets
from fitcheck.schema.machine import Machine, MemoryModules, System

_THP = "sys/kernel/mm/transparent_hugepage"
_RELEASE = "proc/sys/kernel/osrelease"
_STATES: tuple[Literal["always", "madvise", "never"], ...] = ("always", "madvise", "never")

# Firmware vendors and products of virtual machines, as systemd-detect-virt knows them.
_VENDORS = {
    "QEMU": "kvm",
    "KVM": "kvm",
    "Amazon EC2": "kvm",
    "Google": "kvm",
    "DigitalOcean": "kvm",
    "OpenStack": "kvm",
    "VMware": "vmware",
    "innotek": "virtualbox",
    "VirtualBox": "virtualbox",
    "Xen": "xen",
    "Microsoft": "hyper-v",
    "Parallels": "parallels",
    "Apple Virtualization": "apple",
}
_ALSO_MAKE_COMPUTERS = {"Amazon EC2", "Google", "Microsoft"}


class Process(NamedTuple):
    """What only the running process knows; a captured machine brings its own."""

    arch: str | None
    cpus: frozenset[int] | None  # it may be scheduled on
    page_bytes: int | None
    device: tuple[int, int] | None  # of the current directory


def this_process() -> Process:
    try:
        number = os.stat(".").st_dev  # noqa: PTH116 (Path costs more than the call)
        device: tuple[int, int] | None = (os.major(number), os.minor(number))
    except OSError:  # the directory was deleted under us
        device = None
    return Process(os.uname().machine, frozenset(os.sched_getaffinity(0)), os.sysconf("SC_PAGE_SIZE"), device)


def read_machine(files: Files, process: Process) -> Machine:
    """The static part of a Machine: nothing is measured, no GPU is woken."""
    limits = read_limits(files)
    processor = read_processor(files, process.arch)
    ram, available = _memory(files, limits)
    online = online_cpus(files)
    usable = (process.cpus & online if process.cpus and online else process.cpus or online) or frozenset()
    threads = _threads(usable, limits.cpus)
    modules, drm = read_modules(files), read_drm(files)
    return Machine(
        name=_name(files, processor),
        source="this machine",
        ram_bytes=ram,
        arch=process.arch,
        cpu=processor.name,
        cores=_within(cores(files, usable), threads),
        threads=threads,
        simd=processor.simd,
        limit_bytes=_container_limit(limits.memory_bytes, ram),
        available_bytes=available,
        peak_bandwidth_bytes_per_s=_peak(modules),
        caches=caches(files, usable),
        numa=numa_nodes(files, ram),
        gpus=drm.gpus,
        memory=modules,
        storage=read_storage(files, process.device),
        system=_system(files, process, processor, online),
        notes=(*_notes(files, limits, usable, threads), *drm.notes),
    )


def _memory(files: Files, limits: Limits) -> tuple[int | None, int | None]:
    """RAM, and how much of it this process can get now: the host's view and the group's."""
    kilobytes = fields(files.lines("proc/meminfo"), ":")
    total = kilobytes.get("MemTotal")
    free = _available_kilobytes(kilobytes)
    host = None if free is None else free * 1024 + _zfs_cache(files)
    ram = total * 1024 if total else None
    known = [value for value in (host, limits.available_bytes) if value is not None]
    return ram, min(known + ([ram] if ram else []), default=None) if known else None


def _available_kilobytes(meminfo: dict[str, int]) -> int | None:
    """MemAvailable, or what kernels before 3.14 give in its place."""
    if "MemFree" not in meminfo:
        return meminfo.get("MemAvailable")
    guess = sum(meminfo.get(name, 0) for name in ("MemFree", "Buffers", "Cached", "SReclaimable"))
    return meminfo.get("MemAvailable", max(0, guess - meminfo.get("Shmem", 0)))


def _zfs_cache(files: Files) -> int:
    """Bytes ZFS gives back under pressure: its cache above the floor, which MemAvailable leaves out."""
    rows = (line.split() for line in files.lines("proc/spl/kstat/zfs/arcstats"))
    stat = fields(f"{row[0]} {row[2]}" for row in rows if len(row) == 3)
    return max(0, stat.get("size", 0) - stat.get("c_min", 0)) if "c_min" in stat else 0


def _container_limit(limit: int | None, ram: int | None) -> int | None:
    """A limit at or above the RAM limits nothing."""
    return limit if limit is not None and (ram is None or limit < ram) else None


def _threads(cpus: frozenset[int], quota: float | None) -> int | None:
    """Logical CPUs to use. A quota rounds down: one thread too many is stopped in mid-token."""
    if not cpus:
        return None
    return len(cpus) if quota is None else max(1, min(len(cpus), int(quota)))


def _within(count: int | None, most: int | None) -> int | None:
    return count if count is None or most is None else min(count, most)


def _peak(modules: MemoryModules | None) -> float | None:
    """Bytes per second of all channels together."""
    return modules.data_bits / 8 * modules.transfers_per_s if modules and modules.data_bits else None


def _name(files: Files, processor: Processor) -> str:
    """The board's name where the board is the machine (Raspberry Pi), else the processor's."""
    board = (files.text("proc/device-tree/model", most=256) or "").strip("\0 ")
    return board or processor.name or "this machine"


def _system(files: Files, process: Process, processor: Processor, online: frozenset[int]) -> System:
    cpu = min(process.cpus or online, default=0)
    return System(
        page_bytes=process.page_bytes,
        huge_page_bytes=files.number(f"{_THP}/hpage_pmd_size"),
        transparent_huge_pages=_transparent_huge_pages(files),
        governor=files.text(f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor", most=64) or None,
        hypervisor=_hypervisor(files, processor.flags),
        logical_cpus=len(online) or None,
        sockets=sockets(files, online),
    )


def _transparent_huge_pages(files: Files) -> Literal["always", "madvise", "never"] | None:
    """The state in brackets: ``always [madvise] never``."""
    text = files.text(f"{_THP}/enabled", most=64) or ""
    return next((state for state in _STATES if f"[{state}]" in text), None)


def _hypervisor(files: Files, flags: frozenset[str]) -> str | None:
    """Whose virtual machine this is; on x86 a flag tells at least whether it is one."""
    virtual = "hypervisor" in flags
    if "fpu" in flags and not virtual:  # x86 has both flags, Arm neither
        return "none"
    firmware = (f"sys/class/dmi/id/{name}" for name in ("sys_vendor", "product_name"))
    told = " ".join(files.text(path, most=256) or "" for path in (*firmware, _RELEASE)).lower()
    vendors = (key for key in _VENDORS if virtual or key not in _ALSO_MAKE_COMPUTERS)
    vendor = next((_VENDORS[key] for key in vendors if key.lower() in told), None)
    return files.text("sys/hypervisor/type", most=64) or vendor or ("unnamed" if virtual else None)


def _notes(files: Files, limits: Limits, cpus: frozenset[int], threads: int | None) -> tuple[str, ...]:
    notes = []
    if limits.cpus is not None and threads is not None and threads < len(cpus):
        notes.append(f"a CPU quota of {limits.cpus:g} CPUs leaves {threads} of {len(cpus)} logical CPUs")
    if "microsoft" in (files.text(_RELEASE, most=256) or "").lower():
        notes.append("WSL sees only its share of the RAM; .wslconfig on Windows raises it")
    return tuple(notes)
