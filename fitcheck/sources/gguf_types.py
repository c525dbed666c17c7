"""The numbers by which GGUF files name tensor types. Sizes come from one table of weight types.

Types that nobody plans with, but files hold, have their rows here: integers,
activation formats, interleavings that engines once wrote, ik_llama.cpp's own.
"""

from collections.abc import Mapping
from math import prod
from types import MappingProxyType

from fitcheck.footprint.formats import WEIGHT_TYPES, WeightType, tensor_bytes

Shape = tuple[int, ...]
"""Elements along each dimension in GGUF's order: columns (the row's length) first."""


def size_of(kind: WeightType, shape: Shape) -> int | None:
    """Bytes of a tensor; None where the type can't hold one of that shape.

    Engines refuse rows that don't end in a whole block (gguf.cpp), and TL2's
    formula begins at 256 columns.
    """
    columns, rows = shape[0] if shape else 1, prod(shape[1:])
    if kind.name == "TL2":
        return tensor_bytes(kind, columns, rows) if len(shape) == 2 and columns >= 256 else None
    return None if columns % kind.block_weights else tensor_bytes(kind, columns, rows)


def _numbers(text: str) -> dict[int, WeightType]:
    """Rows of ``number name``, for types of WEIGHT_TYPES."""
    pairs = (row.split() for row in text.split(";"))
    return {int(number): WEIGHT_TYPES[name] for number, name in pairs}


def _rows(source: str, text: str) -> dict[int, WeightType]:
    """Rows of ``number name weights bytes``, a block's, and at the end a row's own bytes if it has any."""
    rows = {}
    for number, name, weights, size, *row_bytes in map(str.split, text.strip().splitlines()):
        row = int(row_bytes[0]) if row_bytes else 0
        rows[int(number)] = WeightType(name, int(weights), int(size), row, source=source)
    return rows


# ggml-org/ggml@d99724f2 include/ggml.h enum ggml_type
_PLANNED = _numbers(
    "0 F32; 1 F16; 2 Q4_0; 3 Q4_1; 6 Q5_0; 7 Q5_1; 8 Q8_0; 10 Q2_K; 11 Q3_K; 12 Q4_K; 13 Q5_K; 14 Q6_K;"
    "16 IQ2_XXS; 17 IQ2_XS; 18 IQ3_XXS; 19 IQ1_S; 20 IQ4_NL; 21 IQ3_S; 22 IQ2_S; 23 IQ4_XS; 29 IQ1_M;"
    "30 BF16; 34 TQ1_0; 35 TQ2_0; 39 MXFP4; 40 NVFP4; 41 Q1_0; 42 Q2_0"
)

_STORED = _rows(
    "ggml-org/ggml@d99724f2 src/ggml-common.h; 31 to 33 and 36 to 38 until the end of 2024",
    """
     9 Q8_1        32  36
    15 Q8_K       256 292
    24 I8           1   1
    25 I16          1   2
    26 I32          1   4
    27 I64          1   8
    28 F64          1   8
    31 Q4_0_4_4    32  18
    32 Q4_0_4_8    32  18
    33 Q4_0_8_8    32  18
    36 IQ4_NL_4_4  32  18
    37 IQ4_NL_4_8  32  18
    38 IQ4_NL_8_8  32  18
    """,
)

_IK_PLANNED = _numbers("133 Q6_0; 134 IQ1_BN; 135 IQ2_BN; 144 IQ4_KS")

_IK_STORED = _rows(
    "ikawrakow/ik_llama.cpp@8337e4cd ggml/src/ggml-common.h, ggml.c row_meta_size",
    """
    137 IQ2_K      256  76
    138 IQ3_K      256 110
    139 IQ4_K      256 144
    140 IQ5_K      256 176
    141 IQ6_K      256 212
    145 IQ2_KS     256  70  2
    146 IQ4_KSS    256 128  4
    151 Q8_KV       32  32  8
    152 IQ5_KS     256 168  4
    153 IQ2_KT     256  68  4
    154 IQ3_KT     256 100  4
    155 IQ4_KT     256 128  4
    156 IQ3_KS     256 102  2
    157 IQ2_KL     256  86  2
    158 IQ1_KT     256  56  4
    202 Q4_0_R8     32  18
    206 Q5_0_R4     32  22
    208 Q8_0_R8     32  34
    210 Q2_K_R4    256  84
    211 Q3_K_R4    256 110
    212 Q4_K_R4    256 144
    213 Q5_K_R4    256 176
    214 Q6_K_R4    256 210
    216 IQ2_XXS_R4 256  66
    217 IQ2_XS_R4  256  74
    218 IQ3_XXS_R4 256  98
    219 IQ1_S_R4    32   6  2
    220 IQ4_NL_R4   32  18
    221 IQ3_S_R4   256 110
    222 IQ2_S_R4   256  82
    223 IQ4_XS_R8  256 136
    229 IQ1_M_R4    32   7  2
    230 BF16_R16     1   2
    233 Q6_0_R4     32  26
    335 IQ2_BN_R4   64  16  4
    337 IQ2_K_R4   256  76
    338 IQ3_K_R4   256 110
    339 IQ4_K_R4   256 144
    340 IQ5_K_R4   256 176
    344 IQ4_KS_R4  256 136  4
    352 IQ5_KS_R4  256 168  4
    398 Q8_KV_R8    32  32  4
    399 Q8_K_R8    256 258
    """,
)

# Eddie-Wang1120/llama.cpp@406a5036 ggml/include/ggml.h, on which bitnet.cpp is built
_BITNET_CPP = {37: WeightType("I8_S", 1, 1), **_numbers("36 I2_S; 38 TL1; 39 TL2")}

_GGML = _PLANNED | _STORED | _IK_PLANNED | _IK_STORED

DIALECTS: Mapping[str, Mapping[int, WeightType]] = MappingProxyType(
    {"ggml": MappingProxyType(_GGML), "bitnet.cpp": MappingProxyType(_GGML | _BITNET_CPP)}
)
"""Who numbers the types how. The dialects agree on every number that is not in CONTESTED."""

CONTESTED = frozenset(_BITNET_CPP)

BITNET_TYPES = frozenset({"I2_S", "TL1", "TL2"})
"""What bitnet.cpp has for natively ternary models, and for nothing else."""

BITNET_FILE_TYPES = {36: 40, 37: None, 38: 38, 39: 39}
"""The ``general.file_type`` that bitnet.cpp writes beside each of its numbers (llama.h at the same
commit). Upstream's 38 goes with number 39 (MXFP4), its 39 with 40, its 40 with 41."""

REMOVED = {4: "Q4_2", 5: "Q4_3"}
"""Types that were dropped before GGUF; engines know their block sizes no longer."""
