"""The kinds of devices and formats that a report tells apart."""

from fitcheck.accuracy.case import Case
from fitcheck.schema.machine import Machine

_SERVER_PEAK = 100e9  # more than two channels of DDR5
_BOARD_READ = 60e9  # single-board computers stay below
_HBM = ("A100", "H100", "H200", "V100", "P100", "A30")


def device_class(case: Case) -> str:
    return _gpu_class(case.machine) if case.run.device == "gpu" else _cpu_class(case.machine)


def _gpu_class(machine: Machine) -> str:
    name = machine.gpus[0].name
    if "Apple" in name:
        return "Apple GPU"
    if "Radeon" in name:
        return "AMD GPU"
    if machine.unified_memory:
        return "NVIDIA GPU in shared memory"
    return "NVIDIA card, HBM" if any(word in name for word in _HBM) else "NVIDIA card, GDDR"


def _cpu_class(machine: Machine) -> str:
    read = machine.peak_bandwidth_bytes_per_s or machine.bandwidth_bytes_per_s or 0.0
    if machine.arch == "aarch64":
        if "Apple" in (machine.cpu or ""):
            return "Apple CPU"
        return "Arm board" if read < _BOARD_READ else "Arm server"
    return "x86 server or workstation" if read > _SERVER_PEAK else "x86 desktop or laptop"


def format_class(case: Case) -> str:
    """Formats of about the same cost: K-quants are one class, IQ types another."""
    name = case.run.format
    for start, label in _STARTS:
        if name.startswith(start):
            return label
    return "K-quants" if "_K" in name else name


_STARTS = (
    ("F16", "16 bits"),
    ("BF16", "16 bits"),
    ("MLX-BF16", "16 bits"),
    ("MLX", "MLX, 2 to 8 bits"),
    ("IQ4", "IQ4"),
    ("IQ", "IQ1 to IQ3"),
    ("TQ", "TQ1_0, TQ2_0"),
    ("EXL2", "EXL2, GPTQ"),
    ("GPTQ", "EXL2, GPTQ"),
    ("MXFP4", "MXFP4"),
    ("I2_S", "I2_S"),
    ("Q8_0", "Q8_0"),
    ("Q4_0", "Q4_0, Q5_0"),
    ("Q5_0", "Q4_0, Q5_0"),
)
