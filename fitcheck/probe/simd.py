"""SIMD features under the names that microbench/cpu.c gives them.

The C extension asks the processor and checks that the operating system saves
the registers. Where it is missing the kernel's own list serves as well: Linux
names a flag only when it lets programs use it.
"""

from collections.abc import Iterable

# The kernel's flag and ours, in the order of the C extension's list. Sources:
# Linux arch/x86/include/asm/cpufeatures.h and arch/arm64/kernel/cpuinfo.c.
_FLAGS = {
    "avx2": "avx2",
    "fma": "fma",
    "f16c": "f16c",
    "avx_vnni": "avx_vnni",
    "avx512f": "avx512f",
    "avx512bw": "avx512bw",
    "avx512vl": "avx512vl",
    "avx512_vnni": "avx512_vnni",
    "avx512vbmi": "avx512_vbmi",
    "amx_tile": "amx_tile",
    "amx_int8": "amx_int8",
    "asimd": "neon",
    "neon": "neon",  # 32-bit kernels call it so
    "asimddp": "dotprod",
    "i8mm": "i8mm",
    "sve": "sve",
}

FEATURES = tuple(dict.fromkeys(_FLAGS.values()))
"""Every feature fitcheck has a name for, in the order in which a machine lists them."""

# Apple's names. Neon is part of arm64 and has no key of its own everywhere.
DARWIN_KEYS = {
    "hw.optional.avx2_0": "avx2",
    "hw.optional.fma": "fma",
    "hw.optional.f16c": "f16c",
    "hw.optional.avx512f": "avx512f",
    "hw.optional.avx512bw": "avx512bw",
    "hw.optional.avx512vl": "avx512vl",
    "hw.optional.avx512vbmi": "avx512_vbmi",
    "hw.optional.AdvSIMD": "neon",
    "hw.optional.neon": "neon",
    "hw.optional.arm.FEAT_DotProd": "dotprod",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
}


def from_flags(flags: Iterable[str]) -> tuple[str, ...]:
    """Our names of the features among the kernel's flags, each once."""
    have = set(flags)
    return tuple(dict.fromkeys(ours for theirs, ours in _FLAGS.items() if theirs in have))
