"""Families of configs whose layers are attention and a dense block, all alike but for windows."""

from dataclasses import replace

from fitcheck.schema.model import Layer
from fitcheck.sources.hf_parts import Family, alike, attention, dense, windowed
from fitcheck.sources.json_fields import Fields


def _llama(c: Fields) -> tuple[Layer, ...]:
    return alike(c, attention(c), dense(c))


def _qwen2(c: Fields) -> tuple[Layer, ...]:
    return alike(c, attention(c, qkv_bias=True), dense(c))


def _qwen3(c: Fields) -> tuple[Layer, ...]:
    return alike(c, attention(c, qk_norm="head"), dense(c))


def _gemma2(c: Fields) -> tuple[Layer, ...]:
    return windowed(c, attention(c), period=2, norms=4)


def _gemma3(c: Fields) -> tuple[Layer, ...]:
    period = c.count("sliding_window_pattern", default=6)
    return windowed(c, attention(c, qk_norm="head"), period, norms=4)


def _olmo2(c: Fields) -> tuple[Layer, ...]:
    return alike(c, attention(c, qk_norm="full"), dense(c))


def _olmo3(c: Fields) -> tuple[Layer, ...]:
    return windowed(c, attention(c, qk_norm="full"), period=4, norms=2)


def _cohere(c: Fields) -> tuple[Layer, ...]:
    """Attention and feed-forward side by side, behind one norm."""
    return alike(c, attention(c), dense(c), norms=1)


def _phi3(c: Fields) -> tuple[Layer, ...]:
    """One tensor for queries, keys and values, one for gate and up; llama.cpp ignores the window."""
    return alike(c, replace(attention(c), fused_qkv=True), replace(dense(c), fused_gate_up=True))


def _bitnet(c: Fields) -> tuple[Layer, ...]:
    return alike(c, replace(attention(c), sub_norm=True), replace(dense(c), sub_norm=True))


_GEMMA3 = {
    "head_dim": 256,
    "max_position_embeddings": 131072,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 262208,
}

_QWEN2_VL = Family(_qwen2, "qwen2vl")

FAMILIES = {
    "bitnet": Family(_bitnet, tied=True, more=lambda _: {"trained_ternary": True}),
    "cohere": Family(_cohere, "command-r", tied=True),
    "gemma": Family(_llama, tied=True),
    "gemma2": Family(_gemma2, tied=True),
    "gemma3_text": Family(_gemma3, "gemma3", tied=True, left_out=_GEMMA3),
    "granite": Family(_llama),
    "llama": Family(_llama),
    "ministral3": Family(_llama, "mistral3"),
    "mistral": Family(_llama, "llama"),
    "olmo2": Family(_olmo2),
    "olmo3": Family(_olmo3, "olmo2"),
    "phi3": Family(_phi3),
    "qwen2": Family(_qwen2),
    "qwen2_5_vl": _QWEN2_VL,  # the language model's fields beside vision_config, as first published
    "qwen2_5_vl_text": _QWEN2_VL,
    "qwen2_vl": _QWEN2_VL,
    "qwen2_vl_text": _QWEN2_VL,
    "qwen3": Family(_qwen3),
    "qwen3_vl_text": Family(_qwen3, "qwen3vl"),
    "smollm3": Family(_llama, tied=True),
}
