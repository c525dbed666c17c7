"""The recurrent mixers of a GGUF file's layers, by the tensors they have."""

from collections.abc import Callable

from fitcheck.schema.model import GatedDeltaNet, KimiDelta, Mamba, Mamba2, Mixer, Rwkv6, Rwkv7, ShortConv
from fitcheck.sources.gguf_blocks import Block, Shapes, columns, rows

Kinds = tuple[tuple[tuple[str, ...], Callable[[Block, Shapes], Mixer]], ...]
"""Mixers of one nature, each with the tensors by which it is known."""


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
        norm="ssm_norm.weight" in shapes,
    )


def _short_conv(block: Block, shapes: Shapes) -> ShortConv:
    return ShortConv(columns(shapes, "shortconv.conv.weight"))


def kimi_delta(block: Block, shapes: Shapes) -> KimiDelta:
    return KimiDelta(
        heads=rows(shapes, "ssm_beta.weight"),
        head_dim=columns(shapes, "ssm_norm.weight"),
        conv_kernel=columns(shapes, "ssm_conv1d_q.weight"),
        full_gate="ssm_g.weight" in shapes,
    )


def _rwkv6(block: Block, shapes: Shapes) -> Rwkv6:
    return Rwkv6(
        head_dim=block.wkv_head,
        mix_rank=rows(shapes, "time_mix_w1.weight") // 5,
        decay_rank=rows(shapes, "time_mix_decay_w1.weight"),
    )


def _rwkv7(block: Block, shapes: Shapes) -> Rwkv7:
    return Rwkv7(
        head_dim=block.wkv_head,
        decay_rank=rows(shapes, "time_mix_w1.weight"),
        rate_rank=rows(shapes, "time_mix_a1.weight"),
        value_rank=rows(shapes, "time_mix_v1.weight"),
        gate_rank=rows(shapes, "time_mix_g1.weight"),
    )


RECURRENT: Kinds = (
    (("ssm_ba.weight",), _delta_net),
    (("ssm_beta.weight", "attn_qkv.weight"), _delta_net),  # which has no attn_output
    (("ssm_x.weight", "ssm_conv1d.weight"), _mamba),
    (("ssm_in.weight", "ssm_conv1d.weight", "ssm_out.weight"), _mamba2),
    (("shortconv.conv.weight",), _short_conv),
    (("time_mix_a1.weight", "time_mix_key.weight"), _rwkv7),
    (("time_mix_decay_w1.weight", "time_mix_key.weight", "time_mix_gate.weight"), _rwkv6),
)
"""The most telling tensors first."""
