"""How many weights a checkpoint's tensors really hold: packed ones are more than their elements.

A quantized layer is stored as several tensors beside one another (codes,
scales, zeros). Codes are counted by the weights they stand for, the rest by
none. Layouts are those of AutoGPTQ's and AutoAWQ's buffers, exllamav2 and 3, MLX,
compressed-tensors 0.20 (compressors/*/base.py), gpt-oss (blocks and scales),
bitsandbytes, and transformers' BitNet (integrations/bitnet.py: four trits a byte).
"""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, NamedTuple

from fitcheck.footprint.formats import mlx_name
from fitcheck.sources.safetensors_header import StoredTensor


class Counted(NamedTuple):
    """A tensor's weights, and the name of the type they are packed in."""

    weights: int
    type: str


Shapes = Mapping[str, StoredTensor]
"""The tensors of one module by the last part of their names."""


class Bits(NamedTuple):
    """What config.json says of the packing; None where it is silent."""

    bits: int | None
    group_size: int | None


def count_weights(tensors: tuple[StoredTensor, ...], quantization: Mapping[str, Any]) -> dict[str, Counted]:
    """Weights and type of every tensor, by name."""
    said = _bits(quantization)
    modules: dict[str, dict[str, StoredTensor]] = {}
    for tensor in tensors:
        module, _, part = tensor.name.rpartition(".")
        modules.setdefault(module, {})[part] = tensor
    counted: dict[str, Counted] = {}
    for module, parts in modules.items():
        packed = _packed(parts, _of_module(quantization, module) or said)
        counted |= {tensor.name: packed.get(part) or _plain(part, tensor) for part, tensor in parts.items()}
    for module, parts in modules.items():
        if module.endswith(".weight") and "absmax" in parts:
            counted |= _bitsandbytes(module, modules)
    return counted


def _plain(part: str, tensor: StoredTensor) -> Counted:
    return Counted(0 if part in _SCALES else tensor.elements, tensor.dtype)


# Scales of activations and of the cache, which quantized checkpoints keep beside anything.
_SCALES = frozenset({"input_scale", "output_scale", "k_scale", "v_scale", "q_scale", "prob_output_scale"})


def _packed(parts: Shapes, said: Bits) -> dict[str, Counted]:
    """The module's tensors, if they are of a packing that is known."""
    for marks, count in _LAYOUTS:
        if all(mark in parts for mark in marks) and (found := count(parts, said)):
            return {
                part: found if part == marks[0] else Counted(0, found.type)
                for part in parts
                if _belongs(part)
            }
    return _blocks(parts)


def _belongs(part: str) -> bool:
    """Whether it is part of the packing: a layer's own bias is not."""
    return part != "bias"


def _qweight(parts: Shapes, said: Bits) -> Counted | None:
    """GPTQ packs along the input, AWQ along the output: scales have the output's true length."""
    codes, scales = parts["qweight"], parts["scales"]
    if len(codes.shape) != 2 or len(scales.shape) != 2 or not all(codes.shape + scales.shape):
        return None
    kind = "GPTQ" if codes.shape[1] == scales.shape[1] else "AWQ"
    bits = _gptq_bits(parts) if kind == "GPTQ" else None
    bits = bits or said.bits or 4
    return Counted(codes.elements * 32 // bits, f"{kind}-{bits}bit")


def _gptq_bits(parts: Shapes) -> int | None:
    """By the true length of the input, or by the zeros, which are packed as tightly along the output."""
    (rows, outputs), order, zeros = parts["qweight"].shape, parts.get("g_idx"), parts.get("qzeros")
    if order is not None and order.elements:
        return 32 * rows // order.elements
    return 32 * zeros.shape[1] // outputs if zeros is not None and len(zeros.shape) == 2 else None


def _weight_packed(parts: Shapes, said: Bits) -> Counted:
    """compressed-tensors: integers in 32-bit words, 4-bit floats in bytes."""
    codes = parts["weight_packed"]
    container = 32 if codes.dtype == "I32" else 8
    bits = said.bits or 4
    kind = "INT" if container == 32 else "FP"
    return Counted(codes.elements * container // bits, f"{kind}{bits}")


def _weight_scaled(parts: Shapes, said: Bits) -> Counted | None:
    """Bytes with a scale: one for the tensor is BitNet's four trits, one for a group is FP4's two."""
    codes, scale = parts["weight"], parts["weight_scale"]
    if codes.dtype != "U8":
        return (
            Counted(codes.elements, "FP8" if codes.dtype.startswith("F8") else "INT8")
            if _is_byte(codes)
            else None
        )
    if scale.elements == 1:
        return Counted(4 * codes.elements, "BitNet-2bit")
    return Counted(2 * codes.elements, "FP4")


def _is_byte(tensor: StoredTensor) -> bool:
    return tensor.dtype.startswith("F8") or tensor.dtype == "I8"


def _llm_int8(parts: Shapes, said: Bits) -> Counted:
    return Counted(parts["weight"].elements, "INT8")


def _fp8_blocks(parts: Shapes, said: Bits) -> Counted | None:
    return Counted(parts["weight"].elements, "FP8") if _is_byte(parts["weight"]) else None


def _mlx(parts: Shapes, said: Bits) -> Counted | None:
    """MLX: 32-bit words along the input; the scales tell how long it is.

    Floats of few bits have one scale a group and no biases: the mode tells its
    length, and how many words share a scale tells the mode.
    """
    codes, scales = parts["weight"], parts["scales"]
    if codes.dtype != "U32" or not codes.shape or not scales.shape or not scales.shape[-1]:
        return None
    if "biases" not in parts:
        return _mlx_floats(codes, scales)
    group = said.group_size or 64
    inputs = scales.shape[-1] * group
    bits = 32 * codes.shape[-1] // inputs
    return Counted(prod(codes.shape[:-1]) * inputs, mlx_name(bits, group))


def _mlx_floats(codes: StoredTensor, scales: StoredTensor) -> Counted | None:
    """mxfp4, nvfp4 and mxfp8: 4, 2 and 8 words a scale."""
    bits, kind = _MLX_FLOATS.get(codes.shape[-1] // scales.shape[-1], (0, ""))
    return Counted(codes.elements * 32 // bits, kind) if bits else None


_MLX_FLOATS = {4: (4, "MLX-MXFP4"), 2: (4, "MLX-NVFP4"), 8: (8, "MLX-MXFP8")}


def _exl2(parts: Shapes, said: Bits) -> Counted | None:
    """Rows are the permutation's length; scales are four bits an output, eight in a word."""
    scales = parts["q_scale"]
    outputs = 8 * scales.shape[1] if len(scales.shape) == 2 else 0
    return Counted(parts["q_invperm"].elements * outputs, "EXL2") if outputs else None


def _exl3(parts: Shapes, said: Bits) -> Counted:
    """Signs of the inputs and of the outputs tell the matrix's size."""
    return Counted(parts["suh"].elements * parts["svh"].elements, "EXL3")


# The tensors by which a layout is known; the first holds the codes.
_LAYOUTS: tuple[tuple[tuple[str, ...], Callable[[Shapes, Bits], Counted | None]], ...] = (
    (("qweight", "scales"), _qweight),
    (("q_weight", "q_invperm", "q_scale"), _exl2),
    (("trellis", "suh", "svh"), _exl3),
    (("weight_packed",), _weight_packed),
    (("weight", "weight_scale"), _weight_scaled),
    (("weight", "weight_scale_inv"), _fp8_blocks),
    (("weight", "scales"), _mlx),
    (("weight", "SCB"), _llm_int8),
)


def _blocks(parts: Shapes) -> dict[str, Counted]:
    """gpt-oss: ``NAME_blocks`` of two 4-bit floats a byte, and ``NAME_scales``."""
    found: dict[str, Counted] = {}
    for part, tensor in parts.items():
        stem = part.removesuffix("_blocks")
        if stem != part and f"{stem}_scales" in parts and tensor.dtype == "U8":
            found[part] = Counted(2 * tensor.elements, "MXFP4")
            found[f"{stem}_scales"] = Counted(0, "MXFP4")
    return found


def _bitsandbytes(module: str, modules: Mapping[str, Shapes]) -> dict[str, Counted]:
    """``x.weight`` of two weights a byte, beside ``x.weight.absmax`` and its like."""
    owner, _, part = module.rpartition(".")
    helpers = (*modules[module].values(), *modules.get(f"{module}.quant_state", {}).values())
    counted = {tensor.name: Counted(0, "NF4") for tensor in helpers}
    codes = modules.get(owner, {}).get(part)
    if codes is not None and codes.dtype == "U8":
        counted[codes.name] = Counted(2 * codes.elements, "NF4")
    return counted


def _bits(quantization: Mapping[str, Any]) -> Bits:
    """GPTQ, AWQ and MLX write them at the top, compressed-tensors in its first group."""
    groups = quantization.get("config_groups")
    first = next(iter(groups.values()), None) if isinstance(groups, dict) else None
    inner = first.get("weights") if isinstance(first, dict) else None
    table = inner if isinstance(inner, dict) else quantization
    return Bits(
        _count(table.get("bits", table.get("num_bits")), 16), _count(table.get("group_size"), 1 << 16)
    )


def _of_module(quantization: Mapping[str, Any], module: str) -> Bits | None:
    """What MLX says of a module that goes another way than the rest, under its own name."""
    said = quantization.get(module)
    return _bits(said) if isinstance(said, dict) else None


def _count(value: object, most: int) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most else None
