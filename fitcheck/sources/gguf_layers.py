"""What a layer of a GGUF file is: its mixer and its feed-forward blocks, by the tensors it has."""

from collections.abc import Callable
from dataclasses import fields

from fitcheck.schema.model import (
    Attention,
    ChannelMix,
    CompressedAttention,
    Experts,
    FeedForward,
    Ffn,
    Indexer,
    LatentAttention,
    Mixer,
    QkNorm,
)
from fitcheck.sources.gguf_blocks import Block, Shapes, columns, dimension, rows
from fitcheck.sources.gguf_states import RECURRENT, Kinds, kimi_delta


def mixers_of(block: Block, shapes: Shapes, unknown: list[str]) -> tuple[Mixer, ...]:
    """The layer's mixers: none, one, or attention with a recurrent one beside it.

    What can't be told is added to ``unknown``: a cache or state that would be missing.
    """
    makes = [make for kind in _MIXERS if (make := _first(kind, shapes))]
    if not makes and (strange := [name for name in shapes if not _is_no_mixer(name)]):
        unknown.append(f"a mixer of its own kind ({strange[0]})")
    found = [make(block, shapes) for make in makes]
    unknown += [f"the sizes of its {type(mixer).__name__}" for mixer in found if not _complete(mixer)]
    return tuple(mixer for mixer in found if _complete(mixer))


def _first(kind: Kinds, shapes: Shapes) -> Callable[[Block, Shapes], Mixer] | None:
    return next((make for marks, make in kind if all(mark in shapes for mark in marks)), None)


def _is_no_mixer(name: str) -> bool:
    """Norms, feed-forward parts and what mixes residuals. Deci's linear layers have an attn_output alone."""
    return "norm" in name or name.startswith(_NO_MIXER)


_NO_MIXER = (
    *("ffn_", "exp_probs_b", "channel_mix_", "attn_output", "layer_output_scale"),
    *("inp_gate", "proj", "altup_", "laurel_", "hc_", "nextn."),
)


def _complete(mixer: Mixer) -> bool:
    """Whether every size is there: metadata that is missing reads as zero."""
    values = (getattr(mixer, item.name) for item in fields(mixer) if item.name != "gate_size")
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
        gate_size=rows(shapes, "attn_gate.weight"),
        indexer=_indexer(shapes),
    )


def _qk_norm(block: Block, shapes: Shapes) -> QkNorm:
    shape = shapes.get("attn_q_norm.weight")
    if shape is None:
        return "none"
    return "head" if shape == (block.head_dim,) else "full"


def _latent_attention(block: Block, shapes: Shapes) -> LatentAttention:
    """With attn_kv_b whole, engines cache whole heads: MiniCPM3, DeepSeek's files of before April 2025."""
    expanded = "attn_k_b.weight" not in shapes
    rank = block.kv_lora_rank or rows(shapes, "attn_k_b.weight")
    rope = max(rows(shapes, "attn_kv_a_mqa.weight") - rank, 0)
    return LatentAttention(
        heads=block.heads,
        kv_lora_rank=rank,
        nope_head_dim=max(block.head_dim - rope, 0) if expanded else columns(shapes, "attn_k_b.weight"),
        rope_head_dim=rope,
        value_dim=block.value_length_mla or block.value_dim,
        expanded=expanded,
        q_lora_rank=rows(shapes, "attn_q_a.weight") or None,
        gate_size=rows(shapes, "attn_gate.weight"),
        indexer=_indexer(shapes),
    )


def _indexer(shapes: Shapes) -> Indexer | None:
    """Sparse attention's scorer, of tokens or of blocks of them."""
    if size := rows(shapes, "indexer.attn_k.weight"):
        return Indexer(rows(shapes, "indexer.proj.weight"), size)
    if size := rows(shapes, "indexer.k_proj.weight"):
        return Indexer(rows(shapes, "indexer.q_proj.weight") // size, size)
    return None


def _compressed_attention(block: Block, shapes: Shapes) -> CompressedAttention:
    """The table of places has a row for each token that is made one with others."""
    ratio = rows(shapes, "attn_compressor_ape.weight") or None
    overlap = columns(shapes, "attn_compressor_ape.weight") > block.head_dim
    key = columns(shapes, "indexer_compressor_ape.weight") // (2 if overlap else 1)
    return CompressedAttention(
        heads=block.heads,
        head_dim=rows(shapes, "attn_kv.weight"),
        q_lora_rank=rows(shapes, "attn_q_a.weight"),
        output_groups=block.output_groups,
        output_lora_rank=rows(shapes, "attn_output_a.weight") // max(block.output_groups, 1),
        window=block.window or 0,
        ratio=ratio,
        overlap=overlap,
        indexer=Indexer(rows(shapes, "indexer.proj.weight"), key) if key else None,
    )


# Attention, and what may stand in its place or beside it. The most telling tensors come first.
_MIXERS: tuple[Kinds, Kinds] = (
    (
        (
            ("ssm_f_a.weight", "ssm_conv1d_q.weight"),
            kimi_delta,
        ),  # which has projections named like attention's
        (("attn_kv_a_mqa.weight",), _latent_attention),
        (("attn_kv.weight", "attn_output_a.weight"), _compressed_attention),
        (("attn_qkv.weight", "attn_output.weight"), _attention),
        (("attn_q.weight", "attn_output.weight"), _attention),
    ),
    RECURRENT,
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
    if "channel_mix_key.weight" in shapes:
        size = rows(shapes, "channel_mix_key.weight")
        found.append(ChannelMix(size, "channel_mix_receptance.weight" in shapes))
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
        latent_norm=not shapes.keys().isdisjoint(("ffn_latent_norm.weight", "ffn_routed_norm.weight")),
        hash_vocab=rows(shapes, "ffn_gate_tid2eid.weight"),
    )


def _active(block: Block, count: int) -> int:
    """Experts a token takes: all of them where the file doesn't say."""
    return min(block.experts_active, count) or count


def _lone_experts(block: Block, shapes: Shapes) -> Experts:
    """A tensor for each expert: files of before April 2024."""
    count = sum(name.startswith("ffn_down.") and name.endswith(".weight") for name in shapes)
    return Experts(count, _active(block, count), columns(shapes, "ffn_down.0.weight"))
