"""What a layer of a GGUF file is: its mixer and its feed-forward blocks, by the tensors it has."""

from collections.abc import Callable
from dataclasses import fields

from fitcheck.schema.model import (
    Attention,
    Experts,
    FeedForward,
    Ffn,
    GatedDeltaNet,
    LatentAttention,
    Mamba,
    Mamba2,
    Mixer,
    QkNorm,
    ShortConv,
)
from fitcheck.sources.gguf_blocks import Block, Shapes, columns, dimension, rows

_Kinds = tuple[tuple[tuple[str, ...], Callable[[Block, Shapes], Mixer]], ...]
"""Mixers of one nature, each with the tensors by which it is known."""


def mixer_of(block: Block, shapes: Shapes, unknown: list[str]) -> Mixer | None:
    """The layer's mixer; None where it has none. What can't be told is added to ``unknown``."""
    unknown += [what for starts, what in _STRANGE if any(name.startswith(starts) for name in shapes)]
    makes = [make for kind in _MIXERS if (make := _first(kind, shapes))]
    if len(makes) > 1:
        unknown.append("the recurrent state beside its attention")
    if not makes:
        if any(name.startswith(("attn_q", "attn_k", "ssm_")) for name in shapes):
            unknown.append("a mixer of its own kind")
        return None
    mixer = makes[0](block, shapes)
    if not _complete(mixer):
        unknown.append(f"the sizes of its {type(mixer).__name__}")
        return None
    return mixer


def _first(kind: _Kinds, shapes: Shapes) -> Callable[[Block, Shapes], Mixer] | None:
    return next((make for marks, make in kind if all(mark in shapes for mark in marks)), None)


_STRANGE = (
    ("time_mix_", "the recurrent state of RWKV"),
    ("indexer", "the cache of its sparse attention's indexer"),
    ("ssm_f_a", "the state of its delta attention"),
    ("attn_compressor", "its compressed cache"),
)


def _complete(mixer: Mixer) -> bool:
    """Whether every size is there: metadata that is missing reads as zero."""
    values = (getattr(mixer, item.name) for item in fields(mixer))
    return all(value is False or value != 0 for value in values)


def _attention(block: Block, shapes: Shapes) -> Attention:
    width = block.heads * block.head_dim
    query = rows(shapes, "attn_q.weight")
    return Attention(
        heads=block.heads,
        kv_heads=block.kv_heads,
        head_dim=block.head_dim,
        value_dim=None if block.value_dim == block.head_dim else block.value_dim,
        window=block.window,
        owns_kv=block.owns_kv,
        qk_norm=_qk_norm(block, shapes),
        qkv_bias="attn_q.bias" in shapes or "attn_qkv.bias" in shapes,
        output_bias="attn_output.bias" in shapes,
        sinks="attn_sinks.weight" in shapes,
        sub_norm="attn_sub_norm.weight" in shapes,
        gated=query > 0 and query == 2 * width,
        k_is_v="attn_k.weight" in shapes and "attn_v.weight" not in shapes,
        fused_qkv="attn_qkv.weight" in shapes,
    )


def _qk_norm(block: Block, shapes: Shapes) -> QkNorm:
    shape = shapes.get("attn_q_norm.weight")
    if shape is None:
        return "none"
    return "head" if shape == (block.head_dim,) else "full"


def _latent_attention(block: Block, shapes: Shapes) -> LatentAttention | Attention:
    """Files without attn_k_b are of before April 2025; engines cache whole heads for them."""
    if "attn_k_b.weight" not in shapes:
        return _attention(block, shapes)
    rank = block.kv_lora_rank or rows(shapes, "attn_k_b.weight")
    return LatentAttention(
        heads=block.heads,
        kv_lora_rank=rank,
        nope_head_dim=columns(shapes, "attn_k_b.weight"),
        rope_head_dim=max(rows(shapes, "attn_kv_a_mqa.weight") - rank, 0),
        value_dim=block.value_length_mla or block.value_dim,
        q_lora_rank=rows(shapes, "attn_q_a.weight") or None,
    )


def _delta_net(block: Block, shapes: Shapes) -> GatedDeltaNet:
    return GatedDeltaNet(
        key_heads=block.ssm_groups,
        key_head_dim=block.ssm_state,
        value_heads=block.ssm_heads,
        value_head_dim=block.ssm_inner // block.ssm_heads if block.ssm_heads else 0,
        conv_kernel=columns(shapes, "ssm_conv1d.weight"),
        fused_projections="ssm_ba.weight" in shapes,
    )


def _mamba(block: Block, shapes: Shapes) -> Mamba:
    return Mamba(
        inner_size=block.ssm_inner,
        state_size=block.ssm_state,
        conv_kernel=columns(shapes, "ssm_conv1d.weight"),
        dt_rank=block.ssm_heads,
        inner_norms="ssm_dt_norm.weight" in shapes,
    )


def _mamba2(block: Block, shapes: Shapes) -> Mamba2:
    return Mamba2(
        heads=block.ssm_heads,
        head_dim=block.ssm_inner // block.ssm_heads if block.ssm_heads else 0,
        state_size=block.ssm_state,
        groups=block.ssm_groups,
        conv_kernel=columns(shapes, "ssm_conv1d.weight"),
        conv_bias="ssm_conv1d.bias" in shapes,
    )


def _short_conv(block: Block, shapes: Shapes) -> ShortConv:
    return ShortConv(columns(shapes, "shortconv.conv.weight"))


# What tensors tell of a mixer, most telling first. A delta net has an attn_qkv without an attn_output.
_MIXERS: tuple[_Kinds, _Kinds] = (
    (
        (("attn_kv_a_mqa.weight",), _latent_attention),
        (("attn_qkv.weight", "attn_output.weight"), _attention),
        (("attn_q.weight", "attn_output.weight"), _attention),
    ),
    (
        (("ssm_ba.weight",), _delta_net),
        (("ssm_beta.weight", "attn_qkv.weight"), _delta_net),
        (("ssm_x.weight", "ssm_conv1d.weight"), _mamba),
        (("ssm_in.weight", "ssm_conv1d.weight", "ssm_out.weight"), _mamba2),
        (("shortconv.conv.weight",), _short_conv),
    ),
)


def ffns_of(block: Block, shapes: Shapes, unknown: list[str]) -> tuple[Ffn, ...]:
    """The layer's feed-forward blocks: dense, experts, both, or none. What isn't told goes to ``unknown``."""
    found: list[Ffn] = []
    if "ffn_down.weight" in shapes:
        found.append(_feed_forward(shapes))
    if "ffn_down_exps.weight" in shapes:
        found.append(_experts(block, shapes))
    elif "ffn_down.0.weight" in shapes:
        found.append(_lone_experts(block, shapes))
    unknown += [f"the sizes of its {type(ffn).__name__}" for ffn in found if not _has_size(ffn)]
    return tuple(ffn for ffn in found if _has_size(ffn))


def _has_size(ffn: Ffn) -> bool:
    return ffn.size > 0 and (not isinstance(ffn, Experts) or ffn.count > 0)


def _feed_forward(shapes: Shapes) -> FeedForward:
    size = columns(shapes, "ffn_down.weight")
    return FeedForward(
        size=size,
        gated="ffn_gate.weight" in shapes or rows(shapes, "ffn_up.weight") == 2 * size,
        bias="ffn_down.bias" in shapes,
        sub_norm="ffn_sub_norm.weight" in shapes,
        fused_gate_up=rows(shapes, "ffn_up.weight") == 2 * size,
    )


def _experts(block: Block, shapes: Shapes) -> Experts:
    inner, count = rows(shapes, "ffn_down_exps.weight"), dimension(shapes, "ffn_down_exps.weight", 2)
    return Experts(
        count=count,
        active=_active(block, count),
        size=columns(shapes, "ffn_down_exps.weight"),
        shared_size=columns(shapes, "ffn_down_shexp.weight"),
        shared_gate="ffn_gate_inp_shexp.weight" in shapes,
        router_bias="exp_probs_b.bias" in shapes,
        bias="ffn_down_exps.bias" in shapes,
        gated="ffn_gate_exps.weight" in shapes or "ffn_gate_up_exps.weight" in shapes,
        latent_size=None if inner == block.hidden else inner,
    )


def _active(block: Block, count: int) -> int:
    """Experts a token takes: all of them where the file doesn't say."""
    return min(block.experts_active, count) or count


def _lone_experts(block: Block, shapes: Shapes) -> Experts:
    """A tensor for each expert: files of before April 2024."""
    count = sum(name.startswith("ffn_down.") and name.endswith(".weight") for name in shapes)
    return Experts(count, _active(block, count), columns(shapes, "ffn_down.0.weight"))
