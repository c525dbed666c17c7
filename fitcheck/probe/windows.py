"""A Windows machine, from psutil, the registry and kernel32. Not run on Windows by us yet."""

import os
import sys

from fitcheck.schema.machine import Machine, System

# winnt.h's PF_* numbers. IsProcessorFeaturePresent also checks that Windows saves the registers.
_FEATURES = {40: "avx2", 41: "avx512f", 19: "neon", 43: "dotprod"}
_ARCHES = {"AMD64": "x86_64", "ARM64": "aarch64"}
_CPU_KEY = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"


def read_machine() -> Machine:
    """Describe the machine we run on. Caches, NUMA nodes and modules stay unknown."""
    import psutil  # noqa: PLC0415 (slow, and Linux never needs it)

    memory, name = psutil.virtual_memory(), _cpu_name()
    return Machine(
        name=name or "this machine",
        source="this machine",
        ram_bytes=memory.total,
        arch=_ARCHES.get(os.environ.get("PROCESSOR_ARCHITECTURE", "")),
        cpu=name,
        cores=psutil.cpu_count(logical=False),
        threads=len(psutil.Process().cpu_affinity() or ()) or psutil.cpu_count(),
        simd=_simd(),
        available_bytes=memory.available,
        system=System(logical_cpus=psutil.cpu_count()),
        notes=("fitcheck's probe of Windows is untested: check RAM and CPU above",),
    )


def _cpu_name() -> str | None:
    if sys.platform != "win32":
        return None
    import winreg  # noqa: PLC0415

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _CPU_KEY) as key:
            return str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()
    except OSError:
        return None


def _simd() -> tuple[str, ...]:
    if sys.platform != "win32":
        return ()
    import ctypes  # noqa: PLC0415

    present = ctypes.windll.kernel32.IsProcessorFeaturePresent
    return tuple(name for number, name in _FEATURES.items() if present(number))
