"""A Mac, from sysctl and Metal.

Written from Apple's documentation and public listings of ``sysctl -a``;
replayed in tests, not run on a Mac by us yet.
"""

import ctypes
from collections.abc import Callable
from typing import Literal

from fitcheck.budget import WIRED_RULE, wired_by_rule
from fitcheck.probe.metal import WorkingSet, working_set
from fitcheck.probe.simd import DARWIN_KEYS
from fitcheck.schema.machine import Cache, Gpu, Machine, System
from fitcheck.units import MIB

_HYPERVISOR = {0: "none", 1: "unnamed", None: None}
_Kind = Literal["data", "instruction", "unified"]

Sysctl = Callable[[str], bytes | None]
"""The raw value of a key, or None where the system has no such key."""


def read_machine(
    sysctl: Sysctl | None = None,
    available: Callable[[], int | None] | None = None,
    working_set: WorkingSet = working_set,
) -> Machine:
    """Describe the Mac we run on; tests give a captured ``sysctl``, ``available`` memory and Metal."""
    ask = _Keys(sysctl or _sysctl())
    ram, cpu = ask.number("hw.memsize"), ask.text("machdep.cpu.brand_string")
    apple = (cpu or "").startswith("Apple")
    limit, note = _gpu_limit(ask, ram, working_set) if apple else (None, None)
    return Machine(
        name=ask.text("hw.model") or cpu or "this machine",
        source="this machine",
        ram_bytes=ram,
        arch="aarch64" if apple else "x86_64" if cpu else None,
        cpu=cpu,
        cores=ask.number("hw.physicalcpu"),
        threads=ask.number("hw.logicalcpu"),
        simd=_simd(ask, apple),
        available_bytes=(available or _available)(),
        caches=_caches(ask),
        gpus=(Gpu(f"{cpu} GPU", limit, None, note or ""),) if limit else (),
        unified_memory=apple,
        system=System(
            page_bytes=ask.number("hw.pagesize"),
            hypervisor=_HYPERVISOR.get(ask.number("kern.hv_vmm_present")),
            logical_cpus=ask.number("hw.logicalcpu"),
            sockets=ask.number("hw.packages"),
        ),
        notes=(note,) if note else (),
    )


class _Keys:
    """sysctl's values as text and numbers."""

    def __init__(self, sysctl: Sysctl) -> None:
        self._sysctl = sysctl

    def text(self, key: str) -> str | None:
        raw = self._sysctl(key)
        return (raw or b"").split(b"\0")[0].decode("utf-8", "replace").strip() or None

    def number(self, key: str | None) -> int | None:
        """A little-endian integer of four or eight bytes, as every Mac of this century has it."""
        raw = self._sysctl(key) if key else None
        return int.from_bytes(raw, "little") if raw is not None and len(raw) in {4, 8} else None


def _gpu_limit(ask: _Keys, ram: int | None, working_set: WorkingSet) -> tuple[int | None, str | None]:
    """What the GPU may wire of the RAM, and how we know.

    iogpu.wired_limit_mb is the user's override, 0 where there is none; then
    Metal says what the system gives. Where neither tells, the rule of older
    systems, which is the lower one.
    """
    wired = ask.number("iogpu.wired_limit_mb")
    if wired:
        return wired * MIB, "GPU memory limit set by iogpu.wired_limit_mb"
    if told := working_set():
        return told, "GPU memory limit as Metal says (recommendedMaxWorkingSetSize)"
    if ram is None:
        return None, None
    return wired_by_rule(ram), f"GPU memory limit assumed: {WIRED_RULE}"


def _simd(ask: _Keys, apple: bool) -> tuple[str, ...]:
    have = {name: None for key, name in DARWIN_KEYS.items() if ask.number(key)}
    return tuple({"neon": None, **have} if apple else have)


def _caches(ask: _Keys) -> tuple[Cache, ...]:
    """Per kind of core on Apple silicon (perflevel0 is the fast one), whole on Intel."""
    levels = ask.number("hw.nperflevels") or 0
    found = [cache for level in range(min(levels, 4)) for cache in _of_level(ask, f"hw.perflevel{level}.")]
    return tuple(sorted(found or _of_level(ask, "hw."), key=lambda cache: cache.level))


def _of_level(ask: _Keys, prefix: str) -> list[Cache]:
    cpus = ask.number(f"{prefix}logicalcpu") or 1
    data = _cache(ask.number(f"{prefix}l1dcachesize"), 1, "data", 1, cpus)
    code = _cache(ask.number(f"{prefix}l1icachesize"), 1, "instruction", 1, cpus)
    shared = ask.number(f"{prefix}cpusperl2") or 1
    second = _cache(ask.number(f"{prefix}l2cachesize"), 2, "unified", shared, cpus)
    third = _cache(ask.number(f"{prefix}l3cachesize"), 3, "unified", cpus, cpus)
    return [cache for cache in (data, code, second, third) if cache]


def _cache(size: int | None, level: int, kind: _Kind, shared_by: int, cpus: int) -> Cache | None:
    if not size:
        return None
    return Cache(level, kind, size, shared_by, max(1, cpus // max(1, shared_by)))


def _sysctl() -> Sysctl:
    """The system's own, through its C library: starting the sysctl program takes longer."""
    library = ctypes.CDLL(None)

    def ask(key: str) -> bytes | None:
        size = ctypes.c_size_t(0)
        if library.sysctlbyname(key.encode(), None, ctypes.byref(size), None, 0) != 0:
            return None
        buffer = ctypes.create_string_buffer(size.value)
        if library.sysctlbyname(key.encode(), buffer, ctypes.byref(size), None, 0) != 0:
            return None
        return buffer.raw[: size.value]

    return ask


def _available() -> int | None:
    """Free and reclaimable memory, which macOS tells through Mach calls that psutil wraps."""
    try:
        import psutil  # noqa: PLC0415 (slow, and Linux never needs it)
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)
