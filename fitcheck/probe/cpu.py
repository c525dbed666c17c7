"""The processor's name and features, from /proc/cpuinfo."""

from typing import NamedTuple

from fitcheck.probe.files import Files
from fitcheck.probe.simd import from_flags

# x86 describes every CPU in some 1.5 kB and measures each clock while we read,
# so the first block must do. Arm's blocks are short, and name each kind of core.
_FIRST_BLOCK = 1 << 13

# Implementer and part, from Linux arch/arm64/include/asm/cputype.h; Apple's
# M1 and M2 as Asahi Linux meets them.
_ARM_CORES = {
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd09"): "Cortex-A73",
    ("0x41", "0xd0a"): "Cortex-A75",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd0d"): "Cortex-A77",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd41"): "Cortex-A78",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x41", "0xd44"): "Cortex-X1",
    ("0x41", "0xd46"): "Cortex-A510",
    ("0x41", "0xd47"): "Cortex-A710",
    ("0x41", "0xd48"): "Cortex-X2",
    ("0x41", "0xd49"): "Neoverse-N2",
    ("0x41", "0xd4d"): "Cortex-A715",
    ("0x41", "0xd4e"): "Cortex-X3",
    ("0x41", "0xd4f"): "Neoverse-V2",
    ("0x41", "0xd80"): "Cortex-A520",
    ("0x41", "0xd81"): "Cortex-A720",
    ("0x41", "0xd82"): "Cortex-X4",
    ("0x41", "0xd84"): "Neoverse-V3",
    ("0x41", "0xd85"): "Cortex-X925",
    ("0x41", "0xd87"): "Cortex-A725",
    ("0x41", "0xd8e"): "Neoverse-N3",
    ("0x46", "0x001"): "A64FX",
    ("0x51", "0x001"): "Oryon",
    ("0x61", "0x022"): "Apple M1 (Icestorm)",
    ("0x61", "0x023"): "Apple M1 (Firestorm)",
    ("0x61", "0x032"): "Apple M2 (Blizzard)",
    ("0x61", "0x033"): "Apple M2 (Avalanche)",
    ("0xc0", "0xac3"): "Ampere-1",
    ("0xc0", "0xac4"): "Ampere-1a",
}


class Processor(NamedTuple):
    name: str | None
    simd: tuple[str, ...]
    flags: frozenset[str]  # as the kernel names them; empty where unknown


def read_processor(files: Files, arch: str | None) -> Processor:
    """Name and features; unknown where /proc/cpuinfo is missing or makes no sense."""
    most = _FIRST_BLOCK if arch in {"x86_64", "i686"} else 1 << 20
    pairs = _pairs(files.text("proc/cpuinfo", most=most) or "")
    flags = frozenset((_first(pairs, "flags", "Features") or "").split())
    name = _first(pairs, "model name", "cpu model", "uarch") or _arm_name(pairs)
    return Processor(name, from_flags(flags), flags)


def _pairs(text: str) -> list[tuple[str, str]]:
    """Key and value of every line that has both."""
    split = (line.partition(":") for line in text.splitlines())
    return [(key.strip(), value.strip()) for key, _, value in split if value.strip()]


def _first(pairs: list[tuple[str, str]], *keys: str) -> str | None:
    return next((value for wanted in keys for key, value in pairs if key == wanted), None)


def _arm_name(pairs: list[tuple[str, str]]) -> str | None:
    """The kinds of Arm cores, in the order the kernel lists them: ``Cortex-A55 + Cortex-A76``."""
    makers = [value.lower() for key, value in pairs if key == "CPU implementer"]
    parts = [value.lower() for key, value in pairs if key == "CPU part"]
    kinds = dict.fromkeys(zip(makers, parts, strict=False))
    return " + ".join(_ARM_CORES.get(kind, f"Arm core {kind[0]}:{kind[1]}") for kind in kinds) or None
