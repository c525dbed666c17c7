"""Weight types: how many bytes a matrix takes in each of them.

One row a type. Sizes are integers (weights in a block, bytes in a block);
bits per weight are derived from them, never the other way round. ``cols``
is the length of a row, that is the input dimension: GGUF's ``ne[0]``.
"""

from collections.abc import Callable
from dataclasses import dataclass

from fitcheck.errors import UnknownName

_GGML = "ggml-org/ggml@d99724f2 src/ggml-common.h"
_BITNET = "Eddie-Wang1120/llama.cpp@406a5036 (bitnet.cpp) ggml/src/ggml.c, ggml_nbytes"
_IK = "ikawrakow/ik_llama.cpp@8337e4cd ggml/src/ggml.c row_meta_size"
_MLX = "ml-explore/mlx 0.32.4 python/mlx/nn/layers/quantized.py, mx.quantize"


@dataclass(frozen=True, slots=True)
class WeightType:
    """Weights packed in blocks along a row, and what comes on top of the blocks."""

    name: str
    block_weights: int
    block_bytes: int
    row_bytes: int = 0  # a scale kept once a row
    tensor_bytes: int = 0  # a tail kept once a tensor
    rows_together: int = 1  # rows that lie interleaved: a matrix is padded to whole sets of them
    source: str = _GGML
    formula: Callable[[int, int], int] | None = None  # bytes of (cols, rows) that no block can state

    @property
    def bits_per_weight(self) -> float:
        """Bits of the blocks alone, without what is kept a row or a tensor."""
        return 8 * self.block_bytes / self.block_weights


def tensor_bytes(weight_type: WeightType, cols: int, rows: int, count: int = 1) -> int:
    """Bytes of ``count`` stacked matrices of ``rows`` rows, as a file stores them.

    A row ends in a whole block. Alignment between tensors belongs to the
    container and is not counted.
    """
    if weight_type.formula is not None:
        return count * weight_type.formula(cols, rows)
    padded, together = rows, weight_type.rows_together
    if together > 1:
        padded = -(-rows // together) * together
    blocks = -(-cols // weight_type.block_weights)
    matrix = padded * blocks * weight_type.block_bytes + rows * weight_type.row_bytes
    return count * matrix + weight_type.tensor_bytes


def block_overhead_bits(block_weights: int, scale_bits: int) -> float:
    """Bits per weight that one scale of ``scale_bits`` for every block costs.

    The generic rule of block quantization: 64 weights of 4 bits that share
    an FP32 scale take 4 + 32/64 = 4.5 bits each.
    """
    return scale_bits / block_weights


def find_type(name: str) -> WeightType:
    """The type of that exact name, or UnknownName."""
    try:
        return WEIGHT_TYPES[name]
    except KeyError:
        raise UnknownName(f"no weight type is called {name!r}", "see: fitcheck formats") from None


def _tl2(cols: int, rows: int) -> int:
    """Three weights in five bits, but 256 columns of every row at two bits each.

    The file always counts 256 leftover columns, whatever the kernel's tile.
    Divisions truncate one after the other, as in the engine's C; the sum is
    rounded up to 32 bytes and a 32-byte tail holds the scale.
    """
    packed = (cols - 256) * rows // 3 * 5 // 8 + 256 * rows // 2 * 4 // 8
    return -(-packed // 32) * 32 + 32


def _grouped(extra_bytes_per_col: int) -> Callable[[int, int], int]:
    """Four-bit weights; an FP16 scale and a four-bit zero for 128 inputs of each output."""

    def size(cols: int, rows: int) -> int:
        groups = -(-cols // 128)
        return (cols * rows + groups * rows) // 2 + groups * rows * 2 + cols * extra_bytes_per_col

    return size


def _exl2_head(cols: int, rows: int) -> int:
    """Six bits a weight in groups of 128 inputs, with 4-bit scales a group.

    total_bits() of exllamav2: the weights, 16 + 32 bits a group, 4 bits a
    group and output, 32 bits an input for the permutation.
    """
    groups = -(-cols // 128)
    bits = cols * rows * 6 + groups * (16 + 32) + groups * rows * 4 + cols * 32
    return -(-bits // 8)


def exl2(bits_per_weight: float) -> WeightType:
    """An EXL2 matrix at a chosen average, which already counts its scales.

    The optimiser mixes groups of 2 to 8 bits until the whole meets the average.
    """
    block_bytes = bits_per_weight * 64 / 8
    if not block_bytes.is_integer():
        raise UnknownName(f"no EXL2 average of {bits_per_weight} bits", "choose a multiple of 1/8 bit")
    source = "turboderp-org/exllamav2@da07facd conversion/qparams.py"
    return WeightType(f"EXL2-{bits_per_weight}bpw", 64, int(block_bytes), source=source)


def mlx_name(bits: int, group: int) -> str:
    """How a matrix of MLX's affine quantization is called here; groups of 64 are its default."""
    return f"MLX-{bits}bit" if group == 64 else f"MLX-{bits}bit-g{group}"


def _mlx(bits: int, group: int) -> WeightType:
    """Codes packed in 32-bit words, a scale and a bias of 16 bits for each group along a row."""
    return WeightType(mlx_name(bits, group), group, group * bits // 8 + 4, source=_MLX)


MLX_BITS, MLX_GROUPS = (8, 6, 5, 4, 3, 2), (64, 32, 128)

_ROWS = (
    WeightType("F32", 1, 4),
    WeightType("F16", 1, 2),
    WeightType("BF16", 1, 2),
    WeightType("Q1_0", 128, 18),
    WeightType("Q2_0", 64, 18),
    WeightType("Q4_0", 32, 18),
    WeightType("Q4_1", 32, 20),
    WeightType("Q5_0", 32, 22),
    WeightType("Q5_1", 32, 24),
    WeightType("Q8_0", 32, 34),
    WeightType("MXFP4", 32, 17),
    WeightType("NVFP4", 64, 36),
    WeightType("Q2_K", 256, 84),
    WeightType("Q3_K", 256, 110),
    WeightType("Q4_K", 256, 144),
    WeightType("Q5_K", 256, 176),
    WeightType("Q6_K", 256, 210),
    WeightType("IQ1_S", 256, 50),
    WeightType("IQ1_M", 256, 56),
    WeightType("IQ2_XXS", 256, 66),
    WeightType("IQ2_XS", 256, 74),
    WeightType("IQ2_S", 256, 82),
    WeightType("IQ3_XXS", 256, 98),
    WeightType("IQ3_S", 256, 110),
    WeightType("IQ4_NL", 32, 18),
    WeightType("IQ4_XS", 256, 136),
    WeightType("TQ1_0", 256, 54),
    WeightType("TQ2_0", 256, 66),
    WeightType("I2_S", 4, 1, tensor_bytes=32, source=_BITNET),
    WeightType("TL1", 4, 1, tensor_bytes=32, source=_BITNET),
    WeightType("TL2", 24, 5, source=_BITNET, formula=_tl2),
    WeightType("IQ1_BN", 64, 13, row_bytes=2, source=_IK),
    WeightType("IQ2_BN", 64, 16, row_bytes=4, source=_IK),
    WeightType("IQ4_KS", 256, 136, row_bytes=4, source=_IK),
    WeightType("Q6_0", 32, 26, source=_IK),
    WeightType("trit5", 5, 1, row_bytes=4, source="five base-3 digits a byte, one FP32 scale a row"),
    WeightType(
        "trit3",
        24,
        5,
        row_bytes=4,
        rows_together=64,
        source="three ternary digits in five bits, 64 rows interleaved, one FP32 scale a row",
    ),
    WeightType("INT8", 1, 1, row_bytes=4, source="bitsandbytes Linear8bitLt: one FP32 scale a row"),
    WeightType("GPTQ-4bit", 2, 1, source="AutoGPTQ QuantLinear buffers: g_idx is int32", formula=_grouped(4)),
    WeightType("AWQ-4bit", 2, 1, source="AutoAWQ WQLinear_GEMM buffers", formula=_grouped(0)),
    *(_mlx(bits, group) for group in MLX_GROUPS for bits in MLX_BITS),
    WeightType("MLX-MXFP8", 32, 33, source=_MLX),  # a scale of 8 bits a group
    WeightType("MLX-MXFP4", 32, 17, source=_MLX),
    WeightType("MLX-NVFP4", 16, 9, source=_MLX),
    WeightType("EXL2-head", 64, 48, source="exllamav2 doc/convert.md: head_bits 6", formula=_exl2_head),
)

WEIGHT_TYPES = {row.name: row for row in _ROWS}
