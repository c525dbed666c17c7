"""Weights llama.cpp keeps twice on a CPU, and what of the file stays mapped.

At load it rearranges matrices of some types for wider instructions. Mapped
from a file, the originals' pages stay behind: they are read once and can be
evicted, so they slow nothing down, but they count as the process's memory
until then. The total of a footprint holds one copy.

Rules from ggml/src/ggml-cpu of b11434 (repack.cpp: which types have a kernel for
rearranged rows, by what the CPU must have; amx/amx.cpp and mmq.cpp, whose
tiles are tried first where there are any) and from llama_model_loader, which
unmaps what lies before the first and after the last tensor it reads in place.
Checked against the sizes it logs, on builds for AVX2 and AVX-512; those of
AMX and Arm are read from the code alone.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from fitcheck.footprint.assignment import Placed, assign, placed
from fitcheck.footprint.mechanisms import Tensor
from fitcheck.footprint.mixes import TYPES
from fitcheck.schema.model import Model

# By feature: the types, and the number of rows that are rearranged together.
_AVX2 = dict.fromkeys(("Q4_0", "Q4_K", "IQ4_NL", "MXFP4"), 8)
_DOTPROD = dict.fromkeys(("Q4_0", "IQ4_NL", "MXFP4", "Q8_0"), 4) | dict.fromkeys(("Q4_K", "Q5_K", "Q6_K"), 8)
_ROWS = {"avx2": _AVX2, "avx512f": {"Q2_K": 8}, "dotprod": _DOTPROD}

# Tiles of 32 rows: bytes a block grows by, for sums and unpacked scales. F16 is copied as it is.
_AMX = {"Q4_0": 0, "Q4_1": 0, "Q8_0": 4, "Q4_K": 4, "Q5_K": 4, "Q6_K": 0, "IQ4_XS": 2, "F16": 0}
_AMX_ROWS = 32

# Architectures whose layers end, by name, with a norm: post_ffw_norm or post_attention_norm.
_NORM_LAST = frozenset(
    {"gemma2", "gemma3", "gemma4", "glm4moe", "gpt-oss", "olmo2", "qwen35", "qwen35moe", "qwen3next"}
)


class Repacked(NamedTuple):
    """Bytes of rearranged copies, and of the weights they were made from: tiles may be larger than those."""

    copies: int
    originals: int


AS_IT_LIES = Repacked(0, 0)


def repacked(model: Model, format_name: str, simd: Iterable[str]) -> Repacked:
    """What a CPU with such instructions rearranges."""
    return _repacked(model, format_name, frozenset(simd))


@lru_cache(maxsize=16384)
def _repacked(model: Model, format_name: str, have: frozenset[str]) -> Repacked:
    copies = originals = 0
    types = _types(have)
    for group, name, tensors, _, size, _ in [one for one in assign(model, format_name) if one.type in types]:
        each = 0 if group.unused else _copy_bytes(group.tensor, name, size // tensors, have)
        if each:
            copies += tensors * each
            originals += size
    return Repacked(copies, originals)


@lru_cache(maxsize=64)
def _types(simd: frozenset[str]) -> frozenset[str]:
    """Those that such a CPU rearranges at all."""
    tiles = _AMX if "amx_int8" in simd else ()
    return frozenset(tiles).union(*(_ROWS.get(one, ()) for one in simd))


def repacked_bytes(model: Model, format_name: str, simd: Iterable[str]) -> int:
    """Bytes of the second copies on a CPU with such instructions."""
    return repacked(model, format_name, simd).copies


def mapped_bytes(model: Model, format_name: str, simd: Iterable[str]) -> int:
    """Bytes of the file that stay mapped: from the first to the last tensor that is read in place."""
    have = frozenset(simd)
    in_file = sorted(placed(model, format_name), key=lambda one: _place(one, model.architecture))
    kept = [not _copy_bytes(one.tensor, one.type, one.bytes, have) for one in in_file]
    if True not in kept:
        return 0
    first, last = kept.index(True), len(kept) - 1 - kept[::-1].index(True)
    return sum(map(_aligned, in_file[first:last])) + in_file[last].bytes


def _place(one: Placed, architecture: str) -> tuple[int, str]:
    """The quantizer's order, with a layer's norms where the last of them lies."""
    name = one.tensor.name
    if name == "norms":
        name = "post_norm" if architecture in _NORM_LAST else "ffn_norm"
    return -1 if one.layer is None else one.layer, name


def _aligned(one: Placed) -> int:
    """Bytes up to the next tensor: GGUF begins each at a multiple of 32."""
    return -(-one.bytes // 32) * 32


def _copy_bytes(tensor: Tensor, kind: str, size: int, simd: frozenset[str]) -> int:
    """Bytes of one tensor's second copy; 0 where it has none."""
    if tensor.rows_read == 1:  # looked up, not multiplied
        return 0
    if "amx_int8" in simd and _fits_tiles(tensor, kind):
        blocks = tensor.weights // TYPES[kind].block_weights
        return size + blocks * _AMX[kind]
    in_rows = tensor.stack == 1 or tensor.part == "experts"  # no latent heads stacked up
    together = next((_ROWS[one][kind] for one in simd if kind in _ROWS.get(one, ())), 0)
    return size if in_rows and together and tensor.rows % together == 0 else 0


def _fits_tiles(tensor: Tensor, kind: str) -> bool:
    """One matrix of whole tiles; experts are multiplied otherwise."""
    return kind in _AMX and tensor.stack == 1 and tensor.rows % _AMX_ROWS == 0 and tensor.cols % 32 == 0
