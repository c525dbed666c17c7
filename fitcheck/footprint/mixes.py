"""Formats a user chooses from, as data: one entry each.

A GGUF mix such as Q4_K_M gives most tensors one type and some a better one,
by role and layer. The entries restate those rules of llama.cpp b11434
(src/llama-quant.cpp, llama_tensor_get_type_impl) for files made without an
importance matrix, except where llama-quantize demands one. With a matrix,
IQ4_XS and IQ4_NL lose their Q5_K ffn_down tensors, and Q4_0 and Q5_0 take
Q4_1 and Q5_1 in the first eighth of them. Rules that hold for every mix
(70B class, eight experts, columns that don't divide) stand in assignment.py.
"""

from collections.abc import Mapping
from dataclasses import replace

from fitcheck.errors import UnknownName
from fitcheck.footprint.formats import WEIGHT_TYPES, WeightType, exl2
from fitcheck.footprint.mix import Family, Format, Rule
from fitcheck.footprint.mlx import MLX_FORMATS


def find_format(name: str) -> Format:
    """The format of that name, whatever its case, or UnknownName with the nearest."""
    found = FORMATS.get(name) or _BY_PLAIN_NAME.get(wanted := _plain(name))
    if found is None:
        from difflib import get_close_matches  # noqa: PLC0415 (slow to import, and most names are right)

        near = get_close_matches(wanted, _BY_PLAIN_NAME, n=3, cutoff=0)
        names = ", ".join(_BY_PLAIN_NAME[key].name for key in near)
        raise UnknownName(f"no format is called {name[:40]!r}", f"nearest: {names}; all: fitcheck formats")
    return found


def _plain(name: str) -> str:
    return name.casefold().replace("-", "_").strip()


def _low_bit(name: str, description: str, default: str, better: str, **more: str) -> Format:
    """The mixes below three bits: ``better`` goes where two bits hurt most."""
    rules: dict[str, Rule] = {
        "attn_v": (("gqa4 or moe", "Q4_K"), ("always", better)),
        "attn_k": (("8 experts", "Q4_K"),),
        "ffn_down": (("first eighth", better),),
        "attn_output": (("8 experts", "Q5_K"), ("always", more.get("attn_output", default))),
    }
    return Format(name, description, default, "Q5_K", more["token_embd"], rules, low_bit=True)


def _bitnet(name: str, description: str, *arches: str) -> Format:
    """bitnet.cpp keeps token_embd and output F16, and nothing of the blocks but norms in full."""
    return Format(
        name,
        description,
        name,
        "F16",
        "F16",
        family="bitnet.cpp",
        engines=("bitnet.cpp",),
        ternary=True,
        arches=arches,
    )


def _checkpoint(name: str, description: str, default: str, family: Family, *engines: str) -> Format:
    """Hugging Face checkpoints: embeddings, output and norms stay in 16 bits."""
    return Format(name, description, default, "F16", "F16", family=family, engines=engines, vectors="F16")


def _exl2(bits: float) -> Format:
    """EXL2 at a chosen average; its output matrix has 6 bits (head_bits)."""
    name = f"EXL2-{bits}bpw"
    description = f"exllamav2, {bits} bits a weight on average"
    return Format(
        name, description, name, "EXL2-head", "F16", family="exl2", engines=("exllamav2",), vectors="F16"
    )


_MOST_BITS: Rule = (("more bits", "Q6_K"),)
_8_EXPERTS: Rule = (("8 experts", "Q5_K"),)
_EARLY_5: Rule = (("first eighth", "Q5_K"),)
_MIDDLE_XXS: Rule = (("middle", "IQ3_XXS"),)
_EXL2_BITS = (2.0, 2.25, 2.5, 3.0, 3.5, 4.0, 4.25, 4.5, 5.0, 6.0, 8.0)

_FORMATS = (
    Format("F32", "full precision", "F32", "F32"),
    Format("F16", "half precision, as most models are published", "F16", "F16"),
    Format("BF16", "bfloat16, as most models are published", "BF16", "BF16"),
    Format("Q8_0", "8 bits, indistinguishable from the original", "Q8_0", "Q8_0"),
    Format("Q6_K", "6 bits, very close to the original", "Q6_K"),
    Format(
        "Q5_K_M",
        "5 bits with the sensitive tensors at 6",
        "Q5_K",
        rules={"attn_v": _MOST_BITS, "ffn_down": _MOST_BITS},
    ),
    Format("Q5_K_S", "5 bits", "Q5_K"),
    Format("Q5_1", "5 bits, an older type", "Q5_1"),
    Format("Q5_0", "5 bits, an older type", "Q5_0"),
    Format(
        "Q4_K_M",
        "4 bits with the sensitive tensors at 6: the usual choice",
        "Q4_K",
        rules={"attn_v": _MOST_BITS, "ffn_down": _MOST_BITS, "attn_output": _8_EXPERTS},
    ),
    Format(
        "Q4_K_S",
        "4 bits",
        "Q4_K",
        rules={"attn_v": (("first 4", "Q5_K"),), "ffn_down": _EARLY_5, "attn_output": _8_EXPERTS},
    ),
    Format("Q4_1", "4 bits, an older type", "Q4_1"),
    Format("Q4_0", "4 bits, an older type, fast on Arm", "Q4_0"),
    Format(
        "IQ4_NL",
        "4 bits, non-linear",
        "IQ4_NL",
        rules={"attn_v": (("gqa4", "Q5_K"),), "ffn_down": _EARLY_5, "attn_output": _8_EXPERTS},
    ),
    Format(
        "IQ4_XS",
        "4 bits, non-linear, a little smaller",
        "IQ4_XS",
        rules={"attn_v": (("gqa4", "Q5_K"),), "ffn_down": _EARLY_5, "attn_output": _8_EXPERTS},
    ),
    Format(
        "MXFP4_MOE",
        "experts in 4 bit floats, the rest in 8 bits",
        "Q8_0",
        "Q8_0",
        stacks="MXFP4",
    ),
    Format(
        "Q3_K_L",
        "3 bits, the larger mix",
        "Q3_K",
        rules={
            "attn_v": (("always", "Q5_K"),),
            "ffn_down": (("always", "Q5_K"),),
            "attn_output": (("8 experts", "Q3_K"), ("always", "Q5_K")),
        },
    ),
    Format(
        "Q3_K_M",
        "3 bits, the medium mix",
        "Q3_K",
        rules={
            "attn_v": (("first 2", "Q5_K"), ("always", "Q4_K")),
            "ffn_down": (("first sixteenth", "Q5_K"), ("always", "Q4_K")),
            "attn_output": (*_8_EXPERTS, ("always", "Q4_K")),
        },
    ),
    Format("Q3_K_S", "3 bits, the smaller mix", "Q3_K", rules={"attn_output": _8_EXPERTS}),
    Format(
        "IQ3_M",
        "3 bits from a codebook, the larger mix",
        "IQ3_S",
        rules={
            "attn_v": (("always", "Q4_K"),),
            "ffn_down": (("first eighth", "Q4_K"), ("more bits of 8 experts", "Q4_K")),
            "attn_output": (*_8_EXPERTS, ("always", "Q4_K")),
        },
    ),
    Format(
        "IQ3_S",
        "3 bits from a codebook",
        "IQ3_S",
        rules={"attn_v": (("gqa4", "Q4_K"),), "attn_output": _8_EXPERTS},
    ),
    Format(
        "IQ3_XS",
        "3 bits from a codebook, the smaller mix",
        "IQ3_S",
        rules={
            "attn_v": (("gqa4", "Q4_K"),),
            "attn_q": (("always", "IQ3_XXS"),),
            "attn_k": (("always", "IQ3_XXS"),),
            "ffn_gate": _MIDDLE_XXS,
            "ffn_up": _MIDDLE_XXS,
            "attn_output": _8_EXPERTS,
        },
    ),
    Format(
        "IQ3_XXS",
        "3 bits from a codebook, the smallest mix",
        "IQ3_XXS",
        "Q5_K",
        "IQ3_S",
        rules={
            "attn_v": (("gqa4", "Q4_K"),),
            "attn_q": (("always", "IQ2_S"),),
            "attn_k": (("always", "IQ2_S"),),
            "attn_output": (*_8_EXPERTS, ("always", "IQ3_S")),
        },
    ),
    Format(
        "Q2_K",
        "2 bits with the sensitive tensors at 3 and 4",
        "Q2_K",
        rules={
            "attn_v": (("gqa4", "Q4_K"), ("always", "Q3_K")),
            "ffn_down": (("always", "Q3_K"),),
            "attn_output": (*_8_EXPERTS, ("always", "Q3_K")),
        },
    ),
    Format(
        "Q2_K_S",
        "2 bits",
        "Q2_K",
        rules={"attn_v": (("gqa4", "Q4_K"),), "ffn_down": (("first eighth", "Q4_K"),)},
    ),
    _low_bit("IQ2_M", "2 bits from a codebook", "IQ2_S", "IQ3_S", token_embd="IQ3_S", attn_output="IQ3_S"),
    _low_bit("IQ2_S", "2 bits from a codebook", "IQ2_XS", "IQ3_S", token_embd="IQ3_S", attn_output="IQ3_S"),
    _low_bit("IQ2_XS", "2 bits from a codebook", "IQ2_XS", "Q2_K", token_embd="Q2_K"),
    _low_bit("IQ2_XXS", "2 bits from a codebook", "IQ2_XXS", "Q2_K", token_embd="Q2_K"),
    _low_bit("IQ1_M", "under 2 bits", "IQ1_M", "Q2_K", token_embd="Q2_K", attn_output="IQ2_XXS"),
    _low_bit("IQ1_S", "under 2 bits", "IQ1_S", "Q2_K", token_embd="Q2_K", attn_output="IQ2_XXS"),
    Format("TQ2_0", "ternary, 2 bits a weight", "TQ2_0", token_embd="Q4_K", ternary=True),
    Format("TQ1_0", "ternary, five weights a byte", "TQ1_0", token_embd="Q4_K", ternary=True),
    _bitnet("I2_S", "ternary, 2 bits a weight"),
    _bitnet("TL1", "ternary, two weights in 4 bits", "aarch64"),
    _bitnet("TL2", "ternary, three weights in 5 bits", "x86_64"),
    Format(
        "trit5",
        "ternary, five weights a byte, one scale a row",
        "trit5",
        token_embd="Q4_K",
        family="fitcheck",
        engines=("fitcheck",),
        ternary=True,
    ),
    Format(
        "trit3",
        "ternary, three weights in 5 bits, one scale a row",
        "trit3",
        token_embd="Q4_K",
        family="fitcheck",
        engines=("fitcheck",),
        ternary=True,
    ),
    _checkpoint("INT8", "8 bit rows with one scale each", "INT8", "int8", "transformers", "vllm"),
    _checkpoint("GPTQ-4bit-g128", "4 bits, groups of 128", "GPTQ-4bit", "gptq", "vllm", "exllamav2"),
    _checkpoint("AWQ-4bit-g128", "4 bits, groups of 128", "AWQ-4bit", "awq", "vllm"),
    replace(
        _checkpoint("NVFP4-g16", "4 bit floats, one scale for 16, all layers", "NVFP4", "nvfp4", "vllm"),
        listed="by name",
    ),
    *(_exl2(bits) for bits in _EXL2_BITS),
    *MLX_FORMATS,
)

# What Falcon (1) has instead: llama-quant.cpp spares it where it was found sensitive or not.
FALCON_RULES: Mapping[str, Mapping[str, Rule]] = {
    "Q4_K_M": {"attn_v": _MOST_BITS, "ffn_down": (("first sixteenth", "Q6_K"), ("more bits", "Q5_K"))},
    "Q4_K_S": {"attn_v": (("first 4", "Q5_K"),)},
    "Q3_K_L": dict.fromkeys(("ffn_down", "attn_output"), (("always", "Q4_K"),))
    | {"attn_v": (("always", "Q5_K"),)},
    "Q3_K_M": {
        "attn_v": (("first 2", "Q5_K"), ("always", "Q4_K")),
        "ffn_down": (("first sixteenth", "Q5_K"), ("more bits", "Q4_K")),
    },
}

FORMATS: Mapping[str, Format] = {entry.name: entry for entry in _FORMATS}
_BY_PLAIN_NAME = {_plain(entry.name): entry for entry in _FORMATS}
TYPES: Mapping[str, WeightType] = WEIGHT_TYPES | {
    made.name: made for made in (exl2(bits) for bits in _EXL2_BITS)
}


def formats_on(*, apple: bool) -> tuple[str, ...]:
    """The formats that a plan of all of them lists on a machine, by name."""
    places = ("anywhere", "apple") if apple else ("anywhere",)
    return tuple(form.name for form in _FORMATS if form.listed in places)
