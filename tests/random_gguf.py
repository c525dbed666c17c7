"""Real GGUF files of random weights: true shapes, true types, a tokenizer of the true size."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from fitcheck.footprint.assignment import Placed, placed
from fitcheck.schema.model import (
    Attention,
    Experts,
    FeedForward,
    GatedDeltaNet,
    Mamba2,
    Model,
    ShortConv,
)

# Norms of a layer by the names the architecture's loader asks for.
_NORMS = {
    "gemma3": ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"),
    "qwen35": ("attn_norm", "post_attention_norm"),
}
# Merges a token of byte-pair tokenizers, as published: Llama 3 has 280147 for 128256 tokens.
_MERGES = {"llama-3": 2.18}
_SENTENCEPIECE = frozenset({"gemma3"})
_TILE = 1 << 20  # bytes of noise, repeated


def write(model: Model, format_name: str, path: Path) -> None:
    """A file that llama.cpp loads and runs; what it says is noise."""
    writer = gguf.GGUFWriter(path, model.architecture)
    for key, value in _metadata(model):
        _add(writer, f"{model.architecture}.{key}", value)
    _tokenizer(writer, model)
    noise = np.random.default_rng(1).integers(0, 256, _TILE, np.uint8) & 0x37  # no exponent near NaN
    tensors = list(_named(model, format_name))
    for name, tensor in tensors:
        kind = gguf.GGMLQuantizationType[tensor.type]
        shape = _shape(name, tensor)
        writer.add_tensor_info(name, shape, np.dtype(np.float32), tensor.bytes, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("ab") as file:
        for _, tensor in tensors:
            file.write(bytes(-file.tell() % 32))
            for start in range(0, tensor.bytes, _TILE):
                file.write(noise[: tensor.bytes - start].tobytes())
        file.write(bytes(-file.tell() % 32))


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_uint32(key, value)


def _metadata(model: Model) -> Iterator[tuple[str, Any]]:
    yield "context_length", model.context_max or 4096
    yield "embedding_length", model.hidden_size
    yield "block_count", len(model.layers)
    yield "vocab_size", model.vocab_size
    yield "attention.layer_norm_rms_epsilon", 1e-5
    yield "rope.freq_base", 10000.0
    yield from _feed_forward(model)
    yield from _attention(model)
    yield from _state(model)


def _feed_forward(model: Model) -> Iterator[tuple[str, Any]]:
    parts = [part for layer in model.layers for part in layer.ffns]
    yield "feed_forward_length", max(part.size for part in parts)
    experts = next((part for part in parts if isinstance(part, Experts)), None)
    if experts:
        yield "expert_count", experts.count
        yield "expert_used_count", experts.active
        yield "expert_feed_forward_length", experts.size
        yield "expert_shared_feed_forward_length", experts.shared_size
        yield "leading_dense_block_count", sum(isinstance(part, FeedForward) for part in parts)
        yield "expert_gating_func", 2


def _attention(model: Model) -> Iterator[tuple[str, Any]]:
    mixers = [layer.mixer for layer in model.layers]
    a = next(mixer for mixer in mixers if isinstance(mixer, Attention))
    heads = [mixer.kv_heads if isinstance(mixer, Attention) else 0 for mixer in mixers]
    by_layer = any(isinstance(mixer, (Mamba2, ShortConv)) for mixer in mixers)
    yield "attention.head_count", a.heads
    yield "attention.head_count_kv", heads if by_layer else a.kv_heads
    yield "attention.key_length", a.head_dim
    yield "attention.value_length", a.value_dim or a.head_dim
    yield "rope.dimension_count", a.head_dim
    windows = [mixer.window or 0 if isinstance(mixer, Attention) else 0 for mixer in mixers]
    if any(windows):
        yield "attention.sliding_window", max(windows)
        yield "attention.sliding_window_pattern", [bool(window) for window in windows]


def _state(model: Model) -> Iterator[tuple[str, Any]]:
    for mixer in {type(layer.mixer): layer.mixer for layer in model.layers}.values():
        if isinstance(mixer, GatedDeltaNet):
            yield "full_attention_interval", 4
            yield "rope.dimension_sections", [11, 11, 10, 0]
            yield "ssm.conv_kernel", mixer.conv_kernel
            yield "ssm.inner_size", mixer.value_heads * mixer.value_head_dim
            yield "ssm.state_size", mixer.key_head_dim
            yield "ssm.time_step_rank", mixer.value_heads
            yield "ssm.group_count", mixer.key_heads
        if isinstance(mixer, Mamba2):
            yield "ssm.conv_kernel", mixer.conv_kernel
            yield "ssm.inner_size", mixer.heads * mixer.head_dim
            yield "ssm.state_size", mixer.state_size
            yield "ssm.time_step_rank", mixer.heads
            yield "ssm.group_count", mixer.groups
        if isinstance(mixer, ShortConv):
            yield "shortconv.l_cache", mixer.conv_kernel


def _named(model: Model, format_name: str) -> Iterator[tuple[str, Placed]]:
    """Tensors with their full names, in the quantizer's order: by layer, then by name."""
    found = list(_one_by_one(model, format_name))
    return iter(sorted(found, key=lambda item: (-1 if item[1].layer is None else item[1].layer, item[0])))


def _one_by_one(model: Model, format_name: str) -> Iterator[tuple[str, Placed]]:
    """A layer's norms are one entry of fitcheck's, and several of the file's."""
    for tensor in placed(model, format_name):
        where = "" if tensor.layer is None else f"blk.{tensor.layer}."
        if tensor.tensor.name == "norms":
            for name in _NORMS.get(model.architecture, ("attn_norm", "ffn_norm"))[: tensor.tensor.rows]:
                one = tensor.tensor._replace(rows=1)
                yield f"{where}{name}.weight", tensor._replace(tensor=one, bytes=4 * one.cols)
        elif tensor.tensor.name == "output_norm.weight" and model.architecture.startswith("lfm2"):
            yield "token_embd_norm.weight", tensor
        else:
            yield where + tensor.tensor.name, tensor


def _shape(name: str, placed_tensor: Placed) -> list[int]:
    """NumPy's order; in bytes for packed types, as the gguf package wants it."""
    tensor = placed_tensor.tensor
    flat = tensor.rows == 1 and tensor.keep is not None
    if tensor.cols == 1 and name.endswith(("ssm_a", "ssm_d")):
        flat = False
    row = tensor.cols
    shape = [row] if flat else [tensor.rows, row]
    return [tensor.stack, *shape] if tensor.stack > 1 else shape


def _tokenizer(writer: gguf.GGUFWriter, model: Model) -> None:
    """As many tokens as the model has, and merges as tokenizers of the family have."""
    size = model.vocab_size
    if model.architecture in _SENTENCEPIECE:
        tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
        tokens += [f"▁t{number}" for number in range(size - len(tokens))]
        writer.add_tokenizer_model("llama")
        writer.add_token_list(tokens)
        writer.add_token_scores([-float(number) for number in range(size)])
        writer.add_token_types([2, 3, 3, *[6] * 256, *[1] * (size - 259)])
        return
    letters = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 324))]
    tokens = [*letters, *(f"Ġt{number}" for number in range(size - len(letters)))]
    share = next((share for name, share in _MERGES.items() if model.name.startswith(name)), 1.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * size)
    writer.add_token_merges([f"Ġt{number} e{number % 97}" for number in range(int(share * size))])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
