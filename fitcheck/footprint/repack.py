"""Weights llama.cpp keeps twice on a CPU.

At load it rearranges matrices of some types for wider instructions. Mapped
from a file, the originals' pages stay behind: they are read once and can be
evicted, so they slow nothing down, but they count as the process's memory
until then. The total of a footprint holds one copy.
"""

from collections.abc import Iterable

from fitcheck.footprint.assignment import TypedTensors, assign
from fitcheck.schema.model import Model

# ggml_repack_get_optimal_repack_type in ggml/src/ggml-cpu/repack.cpp of b11434:
# the types with a kernel for rearranged rows, by what the CPU must have. Not in
# it: machines with AMX, whose own buffer takes more types in a layout of its own.
_TYPES = {
    "avx2": frozenset({"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"}),
    "avx512f": frozenset({"Q2_K"}),
    "dotprod": frozenset({"Q4_0", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "IQ4_NL", "MXFP4"}),
}
_ROWS = 8  # rearranged together


def repacked_bytes(model: Model, format_name: str, simd: Iterable[str]) -> int:
    """Bytes of the second copies on a CPU with such instructions."""
    types = frozenset().union(*(_TYPES.get(feature, frozenset()) for feature in simd))
    return sum(
        typed.bytes for typed in assign(model, format_name) if typed.type in types and _multiplied(typed)
    )


def _multiplied(typed: TypedTensors) -> bool:
    """Matrices that products read by rows: no tables, no latent heads stacked up."""
    tensor = typed.group.tensor
    stacked = tensor.stack == 1 or tensor.part == "experts"
    return tensor.rows_read > 1 and tensor.rows % _ROWS == 0 and stacked and not typed.group.unused
