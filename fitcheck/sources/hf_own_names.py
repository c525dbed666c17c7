"""Families whose publishers name the usual fields their own way: ``n_head``, ``d_model``, ``num_layers``."""

from dataclasses import replace

from fitcheck.schema.model import Attention, FeedForward, Ffn, Layer
from fitcheck.sources.hf_parts import Family, alike, attention, dense, experts, layer_count, norm_bias
from fitcheck.sources.json_fields import MOST, Fields


def _falcon(c: Fields) -> tuple[Layer, ...]:
    """One tensor for queries, keys and values, no gate; the first ones have one norm before both parts."""
    if c.flag("alibi", False) or c.flag("bias", False):  # llama.cpp runs neither (Falcon-RW)
        raise c.wrong("alibi and bias are not known for falcon")
    later, heads = c.flag("new_decoder_architecture", False), c.count("num_attention_heads")
    shared = 1 if c.flag("multi_query", True) else heads
    named = {"num_key_value_heads": c.count("num_kv_heads", default=heads) if later else shared}
    named["intermediate_size"] = c.count("ffn_hidden_size", default=4 * c.count("hidden_size"))
    named_so = c.having(**named)
    one_norm = c.count("num_ln_in_parallel_attn", default=2) == 1 if later else c.flag("parallel_attn", True)
    mixer = replace(attention(named_so), fused_qkv=True)
    return alike(c, mixer, replace(dense(named_so), gated=False), norms=1 if one_norm else 2)


def _dbrx(c: Fields) -> tuple[Layer, ...]:
    """Heads and experts in objects of their own."""
    attn = c.inner("attn_config")
    named = c.having(num_key_value_heads=attn.count("kv_n_heads"))
    mixture = experts(c.inner("ffn_config"), "moe_num_experts", "ffn_hidden_size", "moe_top_k")
    return alike(c, replace(attention(named), fused_qkv=True), mixture)


def _chatglm(c: Fields) -> tuple[Layer, ...]:
    """ChatGLM 2 and 3, and GLM-4 by its first name: as Phi-3, with a bias on queries, keys and values."""
    if c.flag("add_bias_linear", False) or not c.flag("rmsnorm", True):
        raise c.wrong("add_bias_linear, and norms other than rmsnorm, are not known for chatglm")
    if not c.flag("multi_query_attention", False):
        c = c.having(num_key_value_heads=None)
    mixer = replace(attention(c, qkv_bias=c.flag("add_qkv_bias", False)), fused_qkv=True)
    return alike(c, mixer, replace(dense(c), fused_gate_up=True))


def _qwen(c: Fields) -> tuple[Layer, ...]:
    """The first Qwen: its intermediate_size is that of gate and up together."""
    if not c.flag("no_bias", True):
        raise c.wrong("no_bias false is not known for qwen")
    size = c.count("intermediate_size")
    if size % 2:
        raise c.wrong(f"intermediate_size {size} is for two matrices, and must be even")
    named = c.having(intermediate_size=size // 2)
    return alike(c, replace(attention(c, qkv_bias=True), fused_qkv=True), dense(named))


def _nemotron_nas(c: Fields) -> tuple[Layer, ...]:
    """A Llama from which a search took attention, or width, layer by layer."""
    blocks = c.items("block_configs", layer_count(c))
    if blocks is None or not all(isinstance(block, dict) for block in blocks):
        raise c.wrong("has no block_configs with an object for each layer")
    return tuple(_searched(c, Fields(block, f"{c.where}, block_configs")) for block in blocks)


def _searched(c: Fields, block: Fields) -> Layer:
    """One norm before each part that is left."""
    attn, ffn = block.inner("attention"), block.inner("ffn")
    if attn.flag("replace_with_linear", False) or ffn.flag("replace_with_linear", False):
        raise block.wrong("replace_with_linear is not known for nemotron-nas")
    mixer = _grouped(c, attn) if attn.maybe_count("n_heads_in_group") else None
    ffns: tuple[Ffn, ...] = ()
    if (factor := ffn.table.get("ffn_mult")) is not None and not ffn.flag("no_op", False):
        ffns = (FeedForward(_width(c, ffn, factor)),)
    return Layer(mixer, ffns, norms=(mixer is not None) + len(ffns))


def _grouped(c: Fields, attn: Fields) -> Attention:
    heads, group = c.count("num_attention_heads"), attn.count("n_heads_in_group")
    return attention(c.having(num_key_value_heads=max(heads // group, 1)))


def _width(c: Fields, ffn: Fields, factor: object) -> int:
    """Two thirds of so many hidden sizes, to the next multiple of 256 (conversion/deci.py)."""
    if not isinstance(factor, int | float) or not 0 < factor < MOST:
        raise ffn.wrong("ffn_mult must be a number above 0")
    return -(-int(2 * factor * c.count("hidden_size") / 3) // 256) * 256


_FALCON = Family(
    _falcon, "falcon", tied=True, more=norm_bias, left_out={"max_position_embeddings": 2048},
    names={"num_attention_heads": "n_head", "num_hidden_layers": "n_layer", "num_kv_heads": "n_head_kv"},
)  # fmt: skip

FAMILIES = {
    "RefinedWeb": _FALCON._replace(left_out=_FALCON.left_out | {"new_decoder_architecture": True}),
    "RefinedWebModel": _FALCON,
    "chatglm": Family(
        _chatglm,
        names={
            "num_hidden_layers": "num_layers",
            "num_key_value_heads": "multi_query_group_num",
            "head_dim": "kv_channels",
            "intermediate_size": "ffn_hidden_size",
            "max_position_embeddings": "seq_length",
            "vocab_size": "padded_vocab_size",
        },
    ),
    "dbrx": Family(
        _dbrx,
        names={
            "hidden_size": "d_model",
            "num_attention_heads": "n_heads",
            "num_hidden_layers": "n_layers",
            "max_position_embeddings": "max_seq_len",
        },
    ),
    "falcon": _FALCON,
    "nemotron-nas": Family(_nemotron_nas, "deci"),
    "qwen": Family(_qwen, names={"head_dim": "kv_channels", "max_position_embeddings": "seq_length"}),
}
