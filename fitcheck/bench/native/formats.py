"""Packed rows and matrices: their sizes, and single rows packed, unpacked and turned into floats."""

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


def formats_with_vectors() -> tuple[str, ...]:
    """Formats with a kernel above scalar for this CPU, under FITCHECK_ISA; all if that asks for scalar.

    Of a format that can be arranged in two ways, the one that its best kernel reads.
    """
    here = tuple(name for name in formats() if arrangement(name) == name)
    return tuple(name for name in here if kernel_isa(name) != "scalar") or here


def arrangement(format_name: str) -> str:
    """How a format's bytes lie where they are run: trit5 as trit5x64 on a CPU that looks its codes up.

    An engine arranges weights as it loads them; their number of bits is the same.
    """
    name = format_name.lower()
    if name not in ("trit5", "trit5x64"):
        return name
    return "trit5" if kernel_isa("trit5x64") == "scalar" else "trit5x64"


def row_bytes(format_name: str, cols: int) -> int:
    """Bytes of one packed row, scales that lie beside the data excluded."""
    _, lib = native()
    size = int(lib.fc_row_bytes(format_index(format_name), cols))
    if size < 0:
        block = lib.fc_facts(format_index(format_name)).block_weights
        raise BadInput(f"{format_name} has no rows of {cols} columns", f"choose a multiple of {block}")
    return size


def matrix_bytes(format_name: str, rows: int, cols: int) -> int:
    """Bytes of a matrix: rows that lie interleaved (trit3's, trit5x64's) are padded to whole sets of them."""
    _, lib = native()
    row_bytes(format_name, cols)
    return int(lib.fc_matrix_bytes(format_index(format_name), rows, cols))


def rows_together(format_name: str) -> int:
    """Rows that lie interleaved: 1 in most formats."""
    _, lib = native()
    return int(lib.fc_facts(format_index(format_name)).together)


def pack_row(format_name: str, weights: bytes, scale: float = 1.0) -> bytes:
    """A matrix of one row of int8 -1, 0, 1."""
    return pack_rows(format_name, weights, 1, scale)


def pack_rows(format_name: str, weights: bytes, rows: int, scale: float = 1.0) -> bytes:
    """``rows`` rows of int8 -1, 0, 1 as a matrix. ``scale`` is for formats that keep it in the blocks."""
    ffi, lib = native()
    cols, index = len(weights) // rows, format_index(format_name)
    data = ffi.new("uint8_t[]", matrix_bytes(format_name, rows, cols))
    values = ffi.from_buffer("int8_t[]", weights)
    for row in range(rows):
        if lib.fc_pack_row(index, values + row * cols, rows, cols, scale, data, row):
            raise _not_ternary(format_name)
    return bytes(ffi.buffer(data))


def unpack_row(format_name: str, data: bytes, cols: int, row: int = 0) -> bytes:
    """The int8 weights of one row of a ternary matrix, the whole of which is ``data``."""
    ffi, lib = native()
    rows = _whole_rows(format_name, data, cols, row)
    weights, packed = ffi.new("int8_t[]", cols), ffi.from_buffer("uint8_t[]", data)
    if lib.fc_unpack_row(format_index(format_name), packed, rows, cols, row, weights):
        raise _not_ternary(format_name)
    return bytes(ffi.buffer(weights))


def _not_ternary(format_name: str) -> BadInput:
    _, lib = native()
    known = formats()[: lib.FC_LAST_TERNARY + 1]
    return BadInput(f"{format_name} does not hold ternary weights", f"one of: {', '.join(known)}")


def dequantise_row(format_name: str, data: bytes, cols: int, row: int = 0) -> bytes:
    """One row of a matrix as 32-bit floats in machine order; a scale beside the data is left out."""
    ffi, lib = native()
    rows = _whole_rows(format_name, data, cols, row)
    floats, packed = ffi.new("float[]", cols), ffi.from_buffer("uint8_t[]", data)
    lib.fc_dequantise_row(format_index(format_name), packed, rows, cols, row, floats)
    return bytes(ffi.buffer(floats))


def _whole_rows(format_name: str, data: bytes, cols: int, row: int) -> int:
    """How many rows there are, whole ones, that one among them."""
    rows = max(row + 1, len(data) // row_bytes(format_name, cols))
    check_length(data, matrix_bytes(format_name, rows, cols))
    return rows


def check_length(data: bytes, expected: int) -> None:
    if len(data) != expected:
        raise BadInput(f"{len(data)} bytes where {expected} are needed", "pass whole rows")


def kernel_isa(format_name: str, isa: str | None = None) -> str:
    """The ISA of the kernel that runs this format, under a cap (FITCHECK_ISA if none is given)."""
    ffi, _ = native()
    return str(ffi.string(gemv_kernels(format_index(format_name), isa).isa).decode())
