"""Families of configs that keep states: Mamba, gated delta nets, short convolutions, RWKV."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fitcheck.schema.model import (
    ChannelMix,
    Experts,
    FeedForward,
    Ffn,
    GatedDeltaNet,
    Layer,
    Mamba2,
    Mixer,
    Rwkv6,
    Rwkv7,
    ShortConv,
)
from fitcheck.sources.hf_parts import (
    Family,
    attention,
    dense,
    experts,
    layer_count,
    layer_types,
    prediction_layers,
)
from fitcheck.sources.json_fields import Fields


def _delta_nets(c: Fields, ffn: Ffn, *, fused: bool = False) -> tuple[Layer, ...]:
    """Gated delta nets, and every fourth layer attention whose queries carry a gate."""
    net = GatedDeltaNet(
        c.count("linear_num_key_heads"), c.count("linear_key_head_dim"), c.count("linear_num_value_heads"),
        c.count("linear_value_head_dim"), c.count("linear_conv_kernel_dim"), fused_projections=fused,
    )  # fmt: skip
    full = replace(attention(c, qk_norm="head"), gated=True)
    kinds = layer_types(c, c.count("full_attention_interval", default=4), "linear_attention")
    return tuple(Layer(full if kind == "full_attention" else net, (ffn,)) for kind in kinds)


def _gated_experts(c: Fields) -> Experts:
    shared = c.count("shared_expert_intermediate_size")
    return experts(c, "num_experts", "moe_intermediate_size", shared_size=shared, shared_gate=True)


def _qwen35(c: Fields) -> tuple[Layer, ...]:
    return _delta_nets(c, dense(c))


def _qwen35_moe(c: Fields) -> tuple[Layer, ...]:
    return _delta_nets(c, _gated_experts(c))


def _qwen3_next(c: Fields) -> tuple[Layer, ...]:
    return _delta_nets(c, _gated_experts(c), fused=True)


def _qwen35_prediction(c: Fields) -> dict[str, Any]:
    return {"nextn_layers": prediction_layers(c, "mtp_num_hidden_layers")}


_BLOCKS = {"M": "mamba", "*": "attention", "E": "moe", "-": "mlp"}


def _nemotron_kinds(c: Fields) -> list[str]:
    """What each layer is: a letter of a pattern, or a name in a list."""
    kinds = c.table.get("layers_block_type") or [_BLOCKS.get(x) for x in c.text("hybrid_override_pattern")]
    if not isinstance(kinds, list) or not kinds or len(kinds) > 2048:
        raise c.wrong("has neither hybrid_override_pattern nor layers_block_type")
    if any(kind not in _BLOCKS.values() for kind in kinds):
        raise c.wrong("knows layers of other kinds than mamba, attention, moe and mlp")
    return kinds


def _nemotron_h(c: Fields) -> tuple[Layer, ...]:
    """One part a layer, behind one norm."""
    kinds = _nemotron_kinds(c)
    made = {kind: _nemotron_part(c, kind) for kind in set(kinds)}
    return tuple(made[kind] for kind in kinds)


def _nemotron_part(c: Fields, kind: str) -> Layer:
    if kind == "mamba":
        mixer = Mamba2(
            c.count("mamba_num_heads"), c.count("mamba_head_dim"), c.count("ssm_state_size"),
            c.count("n_groups"), c.count("conv_kernel"), conv_bias=c.flag("use_conv_bias", True),
        )  # fmt: skip
        return Layer(mixer, (), norms=1)
    if kind == "attention":
        head_dim = c.maybe_count("head_dim") or c.maybe_count("attention_head_dim")
        return Layer(attention(c.having(head_dim=head_dim)), (), norms=1)
    if kind == "mlp":
        return Layer(None, (FeedForward(c.count("intermediate_size"), gated=False),), norms=1)
    shared = (c.maybe_count("n_shared_experts") or 0) * c.count("moe_shared_expert_intermediate_size")
    mixture = experts(
        c, "n_routed_experts", "moe_intermediate_size", shared_size=shared, router_bias=True, gated=False,
        latent_size=c.maybe_count("moe_latent_size"),
    )  # fmt: skip
    return Layer(None, (mixture,), norms=1)


def _nemotron_more(c: Fields) -> dict[str, Any]:
    routed = "moe" in _nemotron_kinds(c)
    return {
        "nextn_layers": prediction_layers(c),
        "architecture": "nemotron_h_moe" if routed else "nemotron_h",
    }


def _mamba2(c: Fields, *, norm: bool = True) -> Mamba2:
    """By the names that Granite and Falcon-H1 use; heads share the inner size unless one's own is said."""
    heads = c.count("mamba_n_heads")
    inner = c.maybe_count("mamba_d_ssm") or c.count("mamba_expand", default=2) * c.count("hidden_size")
    said = c.table.get("mamba_d_head") not in (None, "auto")
    return Mamba2(
        heads, c.count("mamba_d_head") if said else max(inner // heads, 1), c.count("mamba_d_state"),
        c.count("mamba_n_groups"), c.count("mamba_d_conv"), c.flag("mamba_conv_bias", True), norm,
    )  # fmt: skip


def _granite_hybrid(c: Fields) -> tuple[Layer, ...]:
    shared = c.count("shared_intermediate_size")
    ffn: Ffn = FeedForward(shared)
    if c.maybe_count("num_local_experts"):
        ffn = experts(c, "num_local_experts", "intermediate_size", shared_size=shared)
    makers: dict[str, Callable[[Fields], Mixer]] = {"attention": attention, "mamba": _mamba2}
    kinds = c.items("layer_types", layer_count(c)) or ["mamba"] * layer_count(c)
    if any(kind not in makers for kind in kinds):
        raise c.wrong("knows layers of other kinds than mamba and attention")
    made = {kind: Layer(makers[kind](c), (ffn,)) for kind in set(kinds)}
    return tuple(made[kind] for kind in kinds)


def _falcon_h1(c: Fields) -> tuple[Layer, ...]:
    """Attention and Mamba 2 side by side in every layer."""
    beside = _mamba2(c, norm=c.flag("mamba_rms_norm", False))
    return (Layer(attention(c), (dense(c),), beside=beside),) * layer_count(c)


def _lfm2(c: Fields) -> tuple[Layer, ...]:
    """Short convolutions, and attention in the layers listed for it; experts behind the first few."""
    routed = c.maybe_count("num_experts")
    wide = FeedForward(c.count("intermediate_size") if routed else _lfm2_size(c))
    ffns: list[Ffn] = [wide] * layer_count(c)
    if routed:
        bias = c.flag("use_expert_bias", True)
        mixture = experts(c, "num_experts", "moe_intermediate_size", router_bias=bias)
        first = c.maybe_count("num_dense_layers") or 0
        ffns = [wide if number < first else mixture for number in range(layer_count(c))]
    kinds = c.items("layer_types", layer_count(c))
    if kinds is None:
        raise c.wrong("has no layer_types")
    full: Mixer = attention(c, qk_norm="head")
    conv = ShortConv(c.count("conv_L_cache", default=3))
    return tuple(
        Layer(full if kind == "full_attention" else conv, (ffn,))
        for kind, ffn in zip(kinds, ffns, strict=True)
    )


def _lfm2_size(c: Fields) -> int:
    """Two thirds of the width that is written, to the next multiple, unless it is meant as it stands."""
    size = c.maybe_count("block_ff_dim") or c.count("intermediate_size")
    if not c.flag("block_auto_adjust_ff_dim", True):
        return size
    if c.table.get("block_ffn_dim_multiplier", 1) not in (None, 1):
        raise c.wrong("block_ffn_dim_multiplier other than 1 is not known")
    multiple = c.count("block_multiple_of", default=256)
    return -(-(2 * size // 3) // multiple) * multiple


def _rwkv6(c: Fields) -> tuple[Layer, ...]:
    """Ranks by the hidden size, as conversion/rwkv.py sets them; no config names them."""
    hidden = c.count("hidden_size")
    wide = hidden == _WIDE_RWKV6
    mixer = Rwkv6(c.count("head_size", default=64), 64 if wide else 32, 128 if wide else 64)
    size = c.maybe_count("intermediate_size") or max(hidden * 7 // 2 // 32 * 32, 1)
    return (Layer(mixer, (ChannelMix(size, receptance=True),)),) * layer_count(c)


_WIDE_RWKV6 = 4096


def _rwkv7(c: Fields) -> tuple[Layer, ...]:
    """The first layer's values need no mixing in; its file has them as wide as the rate's rank."""
    rate = c.count("a_low_rank_dim")
    mixer = Rwkv7(
        c.count("head_dim", default=64), c.count("decay_low_rank_dim"), rate, c.count("v_low_rank_dim"),
        c.count("gate_low_rank_dim"),
    )  # fmt: skip
    ffn = ChannelMix(c.count("intermediate_size", default=4 * c.count("hidden_size")))
    rest = (Layer(mixer, (ffn,)),) * (layer_count(c) - 1)
    return (Layer(replace(mixer, value_rank=rate), (ffn,)), *rest)


def _rwkv_more(_c: Fields) -> dict[str, Any]:
    return {"embedding_norm": True, "norm_bias": True}


FAMILIES = {
    "falcon_h1": Family(_falcon_h1, "falcon-h1"),
    "granitemoehybrid": Family(_granite_hybrid, "granitehybrid", tied=True),
    "lfm2": Family(_lfm2, tied=True),
    "lfm2_moe": Family(_lfm2, "lfm2moe", tied=True),
    "nemotron_h": Family(_nemotron_h, more=_nemotron_more),
    "qwen3_5_moe_text": Family(_qwen35_moe, "qwen35moe", more=_qwen35_prediction),
    "qwen3_5_text": Family(_qwen35, "qwen35", more=_qwen35_prediction),
    "qwen3_next": Family(_qwen3_next, "qwen3next", more=lambda _: {"nextn_layers": 1}),
    "rwkv6": Family(_rwkv6, more=_rwkv_more),
    "rwkv7": Family(_rwkv7, more=_rwkv_more),
}
