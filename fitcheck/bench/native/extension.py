"""The C extension itself, and what it knows of the CPU: the only file that imports it.

Without the extension each entry point raises NativeMissing.
"""

import os
from functools import cache
from importlib import import_module
from typing import Any

from fitcheck.errors import BadInput, NativeMissing

ISA_VARIABLE = "FITCHECK_ISA"


@cache
def native() -> tuple[Any, Any]:
    try:
        extension = import_module("fitcheck._native")  # optional: absent without a compiler
    except ModuleNotFoundError as error:
        raise NativeMissing("it was not built when fitcheck was installed") from error
    except ImportError as error:
        raise NativeMissing(str(error)) from error
    return extension.ffi, extension.lib


def available() -> bool:
    return missing() is None


def missing() -> NativeMissing | None:
    """Why nothing can be measured here; None where all is well."""
    try:
        native()
    except NativeMissing as error:
        return error
    return None


def cpu_features() -> tuple[str, ...]:
    """What the processor has and the operating system lets us use."""
    ffi, lib = native()
    bits: int = lib.fc_cpu_features()
    names: list[str] = []
    while (name := lib.fc_cpu_feature_name(len(names))) != ffi.NULL:
        names.append(ffi.string(name).decode())
    return tuple(name for index, name in enumerate(names) if bits >> index & 1)


def compiler() -> str:
    """What built the extension."""
    ffi, lib = native()
    return str(ffi.string(lib.fc_compiler()).decode())


def isas_in_build() -> tuple[str, ...]:
    """Plainest first; FITCHECK_ISA takes one of these names."""
    ffi, lib = native()
    return tuple(ffi.string(lib.fc_isa(index).isa).decode() for index in range(lib.fc_isa_count()))


def isas() -> tuple[str, ...]:
    """Those of them that this CPU runs."""
    _, lib = native()
    return tuple(isa for index, isa in enumerate(isas_in_build()) if lib.fc_isa_runs_here(index))


def gemv_kernels(format_index: int, isa: str | None) -> Any:
    """The best row of kernels.def that has it, under a cap (FITCHECK_ISA if none is given)."""
    ffi, lib = native()
    return _known(lib.fc_best_gemv(format_index, _c_string(ffi, isa)), isa)


def gemm_kernels(format_index: int, isa: str | None) -> Any:
    ffi, lib = native()
    return _known(lib.fc_best_gemm(format_index, _c_string(ffi, isa)), isa)


def batch_kernels(format_index: int, tokens: int, isa: str | None) -> Any:
    """The row whose way with ``tokens`` vectors is quickest: together, or one by one."""
    ffi, lib = native()
    return _known(lib.fc_best_batch(format_index, tokens, _c_string(ffi, isa)), isa)


def read_kernels(isa: str | None) -> Any:
    ffi, lib = native()
    return _known(lib.fc_best_read(_c_string(ffi, isa)), isa)


def _c_string(ffi: Any, text: str | None) -> Any:
    return ffi.NULL if text is None else text.encode()


def _known(kernels: Any, isa: str | None) -> Any:
    if kernels:
        return kernels
    asked = isa or os.environ.get(ISA_VARIABLE, "")
    raise BadInput(
        f"no kernels for the ISA {asked!r}", f"{ISA_VARIABLE} takes one of: {', '.join(isas_in_build())}"
    )
