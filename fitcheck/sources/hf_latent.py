"""Families of configs whose attention keeps compressed rows: DeepSeek's and those made after it."""

from dataclasses import replace
from typing import Any

from fitcheck.schema.model import (
    CompressedAttention,
    Experts,
    Indexer,
    KimiDelta,
    LatentAttention,
    Layer,
)
from fitcheck.sources.hf_parts import (
    Family,
    dense,
    dense_first,
    experts,
    layer_count,
    prediction_layers,
    shared_experts,
)
from fitcheck.sources.json_fields import Fields


def _latent(c: Fields) -> LatentAttention:
    return LatentAttention(
        c.count("num_attention_heads"),
        c.count("kv_lora_rank"),
        c.count("qk_nope_head_dim"),
        c.count("qk_rope_head_dim"),
        c.count("v_head_dim"),
        c.maybe_count("q_lora_rank"),
    )


def _mixture(c: Fields) -> Experts:
    bias = c.text("topk_method") == "noaux_tc"
    return experts(
        c, "n_routed_experts", "moe_intermediate_size", shared_size=shared_experts(c), router_bias=bias
    )


def _deepseek(c: Fields) -> tuple[Layer, ...]:
    """DeepSeek V2 and V3, Kimi K2; conversion leaves V3's prediction layer out."""
    if c.table.get("moe_layer_freq", 1) != 1:
        raise c.wrong("moe_layer_freq other than 1 is not known")
    return tuple(Layer(_latent(c), (ffn,)) for ffn in dense_first(c, _mixture(c), dense(c)))


def _indexed(c: Fields) -> tuple[Layer, ...]:
    """DeepSeek V3.2 and GLM 5: an indexer chooses cells in every layer, or in those listed as full."""
    indexer = Indexer(c.count("index_n_heads"), c.count("index_head_dim"))
    kinds = c.items("indexer_types", layer_count(c)) or ["full"] * layer_count(c)
    return tuple(
        replace(layer, mixer=replace(_latent(c), indexer=indexer)) if kind == "full" else layer
        for layer, kind in zip(_deepseek(c), kinds, strict=True)
    )


def _v32_prediction(c: Fields) -> dict[str, Any]:
    layers = prediction_layers(c)
    return {"nextn_layers": layers, "nextn_vocabularies": 2 if layers else 0}


def _glm_prediction(c: Fields) -> dict[str, Any]:
    """The prediction layer has an indexer even where the last layer shares a choice."""
    layers = _indexed(c)
    found: dict[str, Any] = {"nextn_layers": prediction_layers(c)}
    if layers[-1].mixer != layers[0].mixer:
        found["prediction"] = replace(layers[-1], mixer=layers[0].mixer)
    return found


def _deepseek4(c: Fields) -> tuple[Layer, ...]:
    ratios = c.table.get("compress_ratios")
    count = layer_count(c)
    if not isinstance(ratios, list) or len(ratios) < count or any(one not in (0, 4, 128) for one in ratios):
        raise c.wrong("compress_ratios must list 0, 4 or 128 for each layer")
    hashed = c.maybe_count("num_hash_layers") or 0
    routed = _mixture(c)
    named = replace(routed, router_bias=False, hash_vocab=c.count("vocab_size"))
    return tuple(
        Layer(_compressed(c, ratios[number]), (named if number < hashed else routed,))
        for number in range(count)
    )


def _compressed(c: Fields, ratio: int) -> CompressedAttention:
    """Rows of 4 tokens overlap, and an indexer chooses among them; those of 128 are all read."""
    indexer = Indexer(c.count("index_n_heads"), c.count("index_head_dim")) if ratio == 4 else None
    return CompressedAttention(
        c.count("num_attention_heads"), c.count("head_dim"), c.count("q_lora_rank"), c.count("o_groups"),
        c.count("o_lora_rank"), c.count("sliding_window"), ratio or None, overlap=ratio == 4, indexer=indexer,
    )  # fmt: skip


def _kimi_linear(c: Fields) -> tuple[Layer, ...]:
    """Delta attention, and latent attention in the layers that are not listed for it."""
    linear = c.inner("linear_attn_config")
    delta = KimiDelta(
        linear.count("num_heads"), linear.count("head_dim"), linear.count("short_conv_kernel_size"),
        full_gate=linear.flag("use_full_rank_gate", False),
    )  # fmt: skip
    latent = _latent(c)
    if c.flag("mla_use_output_gate", False):
        latent = replace(latent, gate_size=latent.heads * latent.value_dim)
    listed = linear.table.get("kda_layers")
    if not isinstance(listed, list):
        raise linear.wrong("has no list of kda_layers")
    chosen = {number for number in listed if isinstance(number, int)}
    return tuple(
        Layer(delta if number in chosen else latent, (ffn,))
        for number, ffn in enumerate(dense_first(c, _kimi_experts(c), dense(c)), 1)
    )


def _kimi_experts(c: Fields) -> Experts:
    return experts(
        c, "num_experts", "moe_intermediate_size", "num_experts_per_token",
        shared_size=shared_experts(c, "num_shared_experts"), router_bias=True,
        latent_size=c.maybe_count("routed_expert_hidden_size"),
        latent_norm=c.flag("latent_moe_use_norm", False),
    )  # fmt: skip


def _kimi_more(c: Fields) -> dict[str, Any]:
    """Kimi K3 says its layers weigh the residuals of those before them."""
    scored = c.maybe_count("attn_res_block_size") is not None
    return {"residual_scores": True, "architecture": "kimi-k3"} if scored else {}


FAMILIES = {
    "deepseek_v2": Family(_deepseek, "deepseek2"),
    "deepseek_v3": Family(_deepseek, "deepseek2"),
    "deepseek_v32": Family(_indexed, "deepseek32", more=_v32_prediction),
    "deepseek_v4": Family(_deepseek4, "deepseek4", more=lambda c: {"hyper_connections": c.count("hc_mult")}),
    "glm4_moe_lite": Family(_deepseek, "deepseek2"),
    "glm_moe_dsa": Family(_indexed, "glm-dsa", more=_glm_prediction),
    "kimi_k2": Family(_deepseek, "deepseek2"),
    "kimi_linear": Family(_kimi_linear, "kimi-linear", more=_kimi_more),
    "mistral4": Family(_deepseek, "mistral4"),
}
