"""Packed rows: their sizes, and single rows packed, unpacked and turned into floats."""

from functools import cache

from fitcheck.bench.native.extension import gemv_kernels, native
from fitcheck.errors import BadInput


def format_index(name: str) -> int:
    _, lib = native()
    index = int(lib.fc_format_by_name(name.lower().encode()))
    if index < 0:
        raise BadInput(f"no packed kernel for the format {name!r}", f"one of: {', '.join(formats())}")
    return index


@cache
def formats() -> tuple[str, ...]:
    """Formats with kernels, by their C names: trit5, i2_s, tq1_0, … (any case is understood)."""
    ffi, lib = native()
    return tuple(ffi.string(lib.fc_facts(index).name).decode() for index in range(lib.FC_FORMATS))


def row_bytes(format_name: str, cols: int) -> int:
    """Bytes of one packed row, scales that lie beside the data excluded."""
    _, lib = native()
    size = int(lib.fc_row_bytes(format_index(format_name), cols))
    if size < 0:
        block = lib.fc_facts(format_index(format_name)).block_weights
        raise BadInput(f"{format_name} has no rows of {cols} columns", f"choose a multiple of {block}")
    return size


def pack_row(format_name: str, weights: bytes, scale: float = 1.0) -> bytes:
    """One row of int8 -1, 0, 1 in a ternary format. ``scale`` is for formats that keep it in the blocks."""
    ffi, lib = native()
    row = ffi.new("uint8_t[]", row_bytes(format_name, len(weights)))
    if lib.fc_pack_row(
        format_index(format_name), ffi.from_buffer("int8_t[]", weights), len(weights), scale, row
    ):
        raise BadInput(f"{format_name} does not hold ternary weights", "trit5, i2_s, tq1_0 and tq2_0 do")
    return bytes(ffi.buffer(row))


def unpack_row(format_name: str, row: bytes, cols: int) -> bytes:
    """The int8 weights of one ternary row."""
    ffi, lib = native()
    check_length(row, row_bytes(format_name, cols))
    weights = ffi.new("int8_t[]", cols)
    if lib.fc_unpack_row(format_index(format_name), ffi.from_buffer("uint8_t[]", row), cols, weights):
        raise BadInput(f"{format_name} does not hold ternary weights", "trit5, i2_s, tq1_0 and tq2_0 do")
    return bytes(ffi.buffer(weights))


def dequantise_row(format_name: str, row: bytes, cols: int) -> bytes:
    """One row as 32-bit floats in machine order; a scale beside the data is left out."""
    ffi, lib = native()
    check_length(row, row_bytes(format_name, cols))
    floats = ffi.new("float[]", cols)
    lib.fc_dequantise_row(format_index(format_name), ffi.from_buffer("uint8_t[]", row), cols, floats)
    return bytes(ffi.buffer(floats))


def check_length(data: bytes, expected: int) -> None:
    if len(data) != expected:
        raise BadInput(f"{len(data)} bytes where {expected} are needed", "pass whole rows")


def kernel_isa(format_name: str, isa: str | None = None) -> str:
    """The ISA of the kernel that runs this format, under a cap (FITCHECK_ISA if none is given)."""
    ffi, _ = native()
    return str(ffi.string(gemv_kernels(format_index(format_name), isa).isa).decode())
