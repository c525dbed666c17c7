"""Slow but everywhere: psutil for memory and CPUs, py-cpuinfo for names.

Only for what the system's own files didn't tell: psutil takes 20 ms to import
and py-cpuinfo starts processes. Both are dependencies, but a broken install of
either must not keep anybody from planning.
"""

from dataclasses import replace

from fitcheck.probe.simd import from_flags
from fitcheck.schema.machine import Machine


def fill(machine: Machine) -> Machine:
    """The machine with its gaps filled where these libraries know more."""
    return _with_cpu(_with_memory(machine))


def _with_memory(machine: Machine) -> Machine:
    if machine.ram_bytes is not None:
        return machine
    try:
        import psutil  # noqa: PLC0415

        memory, cores = psutil.virtual_memory(), psutil.cpu_count(logical=False)
        threads = psutil.cpu_count()
    except Exception:  # any failure of theirs means the same here: still unknown
        return machine
    return replace(
        machine,
        ram_bytes=memory.total,
        available_bytes=machine.available_bytes or memory.available,
        cores=machine.cores or cores,
        threads=machine.threads or threads,
    )


def _with_cpu(machine: Machine) -> Machine:
    if machine.cpu is not None:
        return machine
    try:
        import cpuinfo  # noqa: PLC0415

        told = cpuinfo.get_cpu_info()
    except Exception:  # it parses whatever a dozen programs print
        return machine
    name = told.get("brand_raw") or machine.cpu
    return replace(
        machine,
        name=name if name and machine.name == "this machine" else machine.name,
        cpu=name,
        arch=machine.arch or told.get("arch_string_raw"),
        simd=machine.simd or from_flags(told.get("flags") or ()),
    )
