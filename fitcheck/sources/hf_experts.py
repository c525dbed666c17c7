"""Families of configs with experts behind plain attention."""

from dataclasses import replace
from typing import Any

from fitcheck.schema.model import (
    Attention,
    Experts,
    FeedForward,
    Ffn,
    Indexer,
    Layer,
    PerLayerEmbedding,
)
from fitcheck.sources.hf_parts import (
    Family,
    alike,
    attention,
    chosen,
    dense,
    dense_first,
    experts,
    layer_count,
    layer_types,
    prediction_layers,
    shared_experts,
)
from fitcheck.sources.json_fields import Fields


def _mixtral(c: Fields) -> tuple[Layer, ...]:
    return alike(c, attention(c), experts(c, "num_local_experts", "intermediate_size"))


def _qwen3_moe(c: Fields) -> tuple[Layer, ...]:
    """Experts in every layer; configs could mix dense layers in, but no published one does."""
    if c.table.get("mlp_only_layers") or c.count("decoder_sparse_step", default=1) != 1:
        raise c.wrong("dense layers among the experts are not known for qwen3_moe")
    return alike(c, attention(c, qk_norm="head"), experts(c, "num_experts", "moe_intermediate_size"))


def _glm4_moe(c: Fields) -> tuple[Layer, ...]:
    mixer = attention(c, qk_norm="head" if c.flag("use_qk_norm", False) else "none")
    mixture = experts(
        c, "n_routed_experts", "moe_intermediate_size", shared_size=shared_experts(c), router_bias=True
    )
    return tuple(Layer(mixer, (ffn,)) for ffn in dense_first(c, mixture, dense(c)))


def _glm4_prediction(c: Fields) -> dict[str, Any]:
    layers = prediction_layers(c) or prediction_layers(c, "num_mtp_layers")
    return {"nextn_layers": layers, "nextn_vocabularies": 2 if layers else 0}


def _minimax_m2(c: Fields) -> tuple[Layer, ...]:
    bias = c.flag("use_routing_bias", False)
    mixture = experts(c, "num_local_experts", "intermediate_size", router_bias=bias)
    return alike(c, attention(c, qk_norm="full"), mixture)


def _minimax_m3(c: Fields) -> tuple[Layer, ...]:
    """Dense layers in front, then experts; most layers look at blocks that an indexer scores."""
    sparse = c.inner("sparse_attention_config")
    indexer = Indexer(sparse.count("sparse_num_index_heads"), sparse.count("sparse_index_dim"))
    indexed = chosen(sparse.having(num_hidden_layers=layer_count(c)), _FREQUENCY)
    mixture = experts(
        c, "num_local_experts", "moe_intermediate_size", router_bias=c.flag("use_routing_bias", False),
        shared_size=shared_experts(c),
    )  # fmt: skip
    plain, wide = attention(c, qk_norm="head"), FeedForward(c.count("dense_intermediate_size"))
    return tuple(
        Layer(replace(plain, indexer=indexer) if scored else plain, (mixture if routed else wide,))
        for scored, routed in zip(indexed, chosen(c, "moe_layer_freq"), strict=True)
    )


_FREQUENCY = "sparse_attention_freq"


def _gpt_oss(c: Fields) -> tuple[Layer, ...]:
    """Every second layer sees a window; biases everywhere, and a sink for each head."""
    full = replace(attention(c, qkv_bias=True), output_bias=True, sinks=True)
    near = replace(full, window=c.count("sliding_window"))
    mixture = experts(c, "num_local_experts", "intermediate_size", bias=True)
    kinds = layer_types(c, 2, "sliding_attention")
    return tuple(Layer(full if kind == "full_attention" else near, (mixture,)) for kind in kinds)


def _llama4(c: Fields) -> tuple[Layer, ...]:
    """Every fourth layer sees all; experts in every layer, or in every so many."""
    full = attention(c)
    near = replace(full, window=c.count("attention_chunk_size", default=8192))
    size = c.count("intermediate_size")
    mixture = experts(c, "num_local_experts", "intermediate_size", shared_size=size)
    step = c.count("interleave_moe_layer_step", default=1)
    wide = FeedForward(c.count("intermediate_size_mlp", default=size))
    return tuple(
        Layer(near if number % 4 else full, (wide if number % step else mixture,))
        for number in range(1, layer_count(c) + 1)
    )


def _mimo2(c: Fields) -> tuple[Layer, ...]:
    sinks = c.flag("add_full_attention_sink_bias", False), c.flag("add_swa_attention_sink_bias", False)
    full = replace(attention(c), value_dim=c.count("v_head_dim"), sinks=sinks[0])
    near = Attention(
        c.count("swa_num_attention_heads"), c.count("swa_num_key_value_heads"), c.count("swa_head_dim"),
        value_dim=c.count("swa_v_head_dim"), window=c.count("sliding_window"), sinks=sinks[1],
    )  # fmt: skip
    mixture = experts(c, "n_routed_experts", "moe_intermediate_size", router_bias=True)
    kinds = zip(chosen(c, "hybrid_layer_pattern"), chosen(c, "moe_layer_freq"), strict=True)
    return tuple(Layer(near if swa else full, (mixture if routed else dense(c),)) for swa, routed in kinds)


def _gemma4(c: Fields) -> tuple[Layer, ...]:
    """Windowed layers, and every sixth with wider heads; the last so many read earlier layers' caches."""
    near = replace(attention(c, qk_norm="head"), window=c.count("sliding_window"))
    full = Attention(
        near.heads, c.maybe_count("num_global_key_value_heads") or near.kv_heads,
        c.maybe_count("global_head_dim") or near.head_dim, qk_norm="head",
        k_is_v=c.flag("attention_k_eq_v", False),
    )  # fmt: skip
    own = layer_count(c) - (c.maybe_count("num_kv_shared_layers") or 0)
    kinds = layer_types(c, 6, "sliding_attention")
    return tuple(
        _gemma4_layer(c, full if kind == "full_attention" else near, borrows=number >= own)
        for number, kind in enumerate(kinds)
    )


def _gemma4_layer(c: Fields, mixer: Attention, borrows: bool) -> Layer:
    size = c.count("intermediate_size")
    wide = FeedForward(2 * size if borrows and c.flag("use_double_wide_mlp", False) else size)
    mixer = replace(mixer, owns_kv=not borrows)
    if not c.flag("enable_moe_block", False):
        return Layer(mixer, (wide,), norms=4, extra_scalars=1)
    mixture: Experts = experts(c, "num_experts", "moe_intermediate_size", "top_k_experts")
    both: tuple[Ffn, ...] = (wide, mixture)
    return Layer(mixer, both, norms=8, extra_scalars=1 + mixture.count)


def _gemma4_more(c: Fields) -> dict[str, Any]:
    """Half the wide heads' elements are turned by a table; small ones have a slice of it a layer."""
    more: dict[str, Any] = {"rope_freqs": c.count("global_head_dim", default=512) // 2}
    if size := c.maybe_count("hidden_size_per_layer_input"):
        more["per_layer_embedding"] = PerLayerEmbedding(size, c.count("vocab_size_per_layer_input"))
    return more


FAMILIES = {
    "gemma4_text": Family(_gemma4, "gemma4", tied=True, more=_gemma4_more),
    "glm4_moe": Family(_glm4_moe, "glm4moe", more=_glm4_prediction),
    "glm4v_moe_text": Family(_glm4_moe, "glm4moe", left_out={"attention_bias": True}, more=_glm4_prediction),
    "gpt_oss": Family(_gpt_oss, "gpt-oss", more=lambda _: {"published_in": "MXFP4_MOE"}),
    "llama4_text": Family(_llama4, "llama4"),
    "mimo_v2_flash": Family(_mimo2, "mimo2"),
    "minimax_m2": Family(_minimax_m2, "minimax-m2"),
    "minimax_m3": Family(_minimax_m3, "minimax-m3"),
    "minimax_m3_vl": Family(_minimax_m3, "minimax-m3"),
    "mixtral": Family(_mixtral, "llama"),
    "qwen3_moe": Family(_qwen3_moe, "qwen3moe"),
    "qwen3_vl_moe_text": Family(_qwen3_moe, "qwen3vlmoe"),
}
