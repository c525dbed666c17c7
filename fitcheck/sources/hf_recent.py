"""Families of configs with experts of the last years: Trinity, Ling, Hunyuan, Step."""

from dataclasses import replace
from typing import Any

from fitcheck.schema.model import Attention, Experts, Ffn, Layer
from fitcheck.sources.hf_parts import (
    Family,
    alike,
    alike_in_all,
    attention,
    dense,
    dense_first,
    experts,
    layer_count,
    layer_types,
    prediction_layers,
    shared_experts,
)
from fitcheck.sources.json_fields import Fields


def _counted(c: Fields, *, router_bias: bool = True) -> Experts:
    """By the names that most of these share."""
    shared = shared_experts(c, "num_shared_experts")
    return experts(c, "num_experts", "moe_intermediate_size", shared_size=shared, router_bias=router_bias)


def _afmoe(c: Fields) -> tuple[Layer, ...]:
    """Windows, and every fourth layer without; a gate as wide as what attention gives."""
    mixer = attention(c, qk_norm="head")
    full = replace(mixer, gate_size=mixer.heads * mixer.head_dim)
    near = replace(full, window=c.count("sliding_window"))
    mixture, first = _counted(c), c.maybe_count("num_dense_layers") or 0
    kinds = layer_types(c, c.count("global_attn_every_n_layers", default=4), "sliding_attention")
    return tuple(
        Layer(full if kind == "full_attention" else near, (dense(c) if n < first else mixture,), norms=4)
        for n, kind in enumerate(kinds)
    )


def _bailing(c: Fields) -> tuple[Layer, ...]:
    """Ling: both generations have this name, and the second keeps queries, keys and values in one tensor."""
    if c.flag("use_qkv_bias", False) or c.flag("use_bias", False):
        raise c.wrong("use_bias and use_qkv_bias are not known for bailing_moe")
    second, mixture = _second_ling(c), _counted(c, router_bias=_second_ling(c))
    if second and (size := c.maybe_count("moe_shared_expert_intermediate_size")):
        mixture = replace(mixture, shared_size=size * (c.maybe_count("num_shared_experts") or 0))
    mixer = replace(attention(c, qk_norm="head" if second else "none"), fused_qkv=second)
    return tuple(Layer(mixer, (ffn,)) for ffn in dense_first(c, mixture, dense(c)))


def _second_ling(c: Fields) -> bool:
    named = c.table.get("architectures")
    return isinstance(named, list) and "BailingMoeV2ForCausalLM" in named


def _bailing_more(c: Fields) -> dict[str, Any]:
    return _prediction(c) | {"architecture": "bailingmoe2"} if _second_ling(c) else {}


def _hunyuan(c: Fields) -> tuple[Layer, ...]:
    """Numbers of experts are listed layer by layer, and are the same in all."""
    if c.flag("use_cla", False):
        raise c.wrong("use_cla, caches shared between layers, is not known for hunyuan_v1_moe")
    size = c.count("intermediate_size")
    listed = {"moe_topk": None, "num_shared_expert": 1, "moe_intermediate_size": size}
    named = {name: alike_in_all(c, name, default) for name, default in listed.items()}
    mixture = experts(
        c.having(**named), "num_experts", "moe_intermediate_size", "moe_topk",
        shared_size=named["num_shared_expert"] * size,
    )  # fmt: skip
    return alike(c, attention(c, qk_norm="head" if c.flag("use_qk_norm", True) else "none"), mixture)


def _hy3(c: Fields) -> tuple[Layer, ...]:
    mixture, first = _counted(c), c.count("first_k_dense_replace", default=1)
    kinds = c.items("mlp_layer_types", layer_count(c))
    ffns: list[Ffn] = [dense(c) if n < first else mixture for n in range(layer_count(c))]
    if kinds is not None:
        ffns = [mixture if kind == "sparse" else dense(c) for kind in kinds]
    mixer = attention(c, qk_norm="head")
    return tuple(Layer(mixer, (ffn,)) for ffn in ffns)


def _step35(c: Fields) -> tuple[Layer, ...]:
    return _step35_blocks(c)[: layer_count(c)]


def _step35_blocks(c: Fields) -> tuple[Layer, ...]:
    """Windowed layers have heads of their own, each with a gate. Those that predict are listed behind."""
    full = _step35_attention(c)
    other = c.having(**c.inner("attention_other_setting").table)
    near = replace(_step35_attention(other), window=c.count("sliding_window"))
    mixture = experts(
        c, "moe_num_experts", "moe_intermediate_size", "moe_top_k",
        shared_size=c.count("share_expert_dim"), router_bias=c.flag("use_moe_router_bias", False),
    )  # fmt: skip
    kinds, routed, wide = c.table.get("layer_types"), _step35_routed(c), dense(c)
    if not isinstance(kinds, list) or len(kinds) < layer_count(c):
        raise c.wrong("layer_types must list each layer")
    return tuple(
        Layer(near if kind == "sliding_attention" else full, (mixture if n in routed else wide,))
        for n, kind in enumerate(kinds[: layer_count(c) + prediction_layers(c)])
    )


def _step35_attention(c: Fields) -> Attention:
    named = c.having(num_key_value_heads=c.count("num_attention_groups"))
    mixer = attention(named, qk_norm="head")
    return replace(mixer, gate_size=mixer.heads if c.flag("use_head_wise_attn_gate", False) else 0)


def _step35_routed(c: Fields) -> set[int]:
    """``"3,4,5"``, a list of the same, or all but the first three."""
    said = c.table.get("moe_layers_enum") or range(3, layer_count(c))
    try:
        return set(map(int, said.split(",") if isinstance(said, str) else said))
    except (TypeError, ValueError):
        raise c.wrong("moe_layers_enum must list numbers of layers") from None


def _step35_more(c: Fields) -> dict[str, Any]:
    """Each prediction layer has a vocabulary matrix of its own; they must be alike."""
    found = _prediction(c)
    if not found["nextn_layers"]:
        return found
    behind = set(_step35_blocks(c)[layer_count(c) :])
    if len(behind) > 1:
        raise c.wrong("prediction layers that differ are not known for step3p5")
    return found | {"nextn_vocabularies": 1, "prediction": behind.pop() if behind else None}


def _prediction(c: Fields) -> dict[str, Any]:
    return {"nextn_layers": prediction_layers(c)}


FAMILIES = {
    "afmoe": Family(_afmoe),
    "bailing_moe": Family(_bailing, "bailingmoe", more=_bailing_more),
    "hunyuan_v1_moe": Family(_hunyuan, "hunyuan-moe", names={"head_dim": "attention_head_dim"}),
    "hy_v3": Family(_hy3, more=_prediction),
    "step3p5": Family(_step35, "step35", more=_step35_more),
}
