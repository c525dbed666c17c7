"""Families of configs of the years before, and small ones: most are Llama with a bias or a norm moved."""

from dataclasses import replace
from typing import Any

from fitcheck.schema.model import (
    AltUp,
    FeedForward,
    Ffn,
    LatentAttention,
    Layer,
    Mamba,
    Mamba2,
    PerLayerEmbedding,
)
from fitcheck.sources.hf_parts import (
    Family,
    alike,
    attention,
    dense,
    dense_first,
    experts,
    layer_count,
    layer_types,
    norm_bias,
    shared_experts,
    windowed,
)
from fitcheck.sources.json_fields import Fields


def _llama(c: Fields) -> tuple[Layer, ...]:
    return alike(c, attention(c), dense(c))


def _ungated(c: Fields) -> tuple[Layer, ...]:
    return alike(c, attention(c), replace(dense(c), gated=False))


def _ungated_normed(c: Fields) -> tuple[Layer, ...]:
    return alike(c, attention(c, qk_norm="head"), replace(dense(c), gated=False))


def _qk_normed(c: Fields) -> tuple[Layer, ...]:
    return alike(c, attention(c, qk_norm="head"), dense(c))


def _unnormed(c: Fields) -> tuple[Layer, ...]:
    """OLMo 1: norms without weights."""
    return alike(c, attention(c), dense(c), norms=0)


def _olmoe(c: Fields) -> tuple[Layer, ...]:
    return alike(c, attention(c, qk_norm="full"), experts(c, "num_experts", "intermediate_size"))


def _qwen2_moe(c: Fields) -> tuple[Layer, ...]:
    shared = c.count("shared_expert_intermediate_size")
    mixture = experts(c, "num_experts", "moe_intermediate_size", shared_size=shared, shared_gate=True)
    return alike(c, attention(c, qkv_bias=True), mixture)


def _granite_moe(c: Fields) -> tuple[Layer, ...]:
    return alike(c, attention(c), experts(c, "num_local_experts", "intermediate_size"))


def _biased(c: Fields, norms: int = 2, *, fused: bool = False) -> tuple[Layer, ...]:
    """Biases wherever there is a matrix, and no gate."""
    mixer = replace(attention(c, qkv_bias=True), output_bias=True, fused_qkv=fused)
    return alike(c, mixer, FeedForward(c.count("intermediate_size"), gated=False, bias=True), norms)


def _starcoder2(c: Fields) -> tuple[Layer, ...]:
    if not c.flag("use_bias", True):
        raise c.wrong("use_bias false is not known for starcoder2")
    return _biased(c)


def _phimoe(c: Fields) -> tuple[Layer, ...]:
    mixer = attention(c)
    return alike(
        c, replace(mixer, output_bias=mixer.qkv_bias), experts(c, "num_local_experts", "intermediate_size")
    )


def _stablelm(c: Fields) -> tuple[Layer, ...]:
    """A norm for each head of its own, and one norm before both parts, in StableLM 2 12B."""
    mixer = attention(c, qk_norm="full" if c.flag("qk_layernorm", False) else "none")
    norms = 1 if c.flag("use_parallel_residual", False) else 2
    return alike(c, replace(mixer, qkv_bias=c.flag("use_qkv_bias", False)), dense(c), norms)


def _minicpm(c: Fields) -> tuple[Layer, ...]:
    """Llama by its tensors; one of them has experts."""
    routed = c.maybe_count("num_experts")
    return alike(c, attention(c), experts(c, "num_experts", "intermediate_size") if routed else dense(c))


def _internlm3(c: Fields) -> tuple[Layer, ...]:
    if c.flag("bias", False):
        raise c.wrong("bias is not known for internlm3")
    return alike(c, attention(c, qkv_bias=c.flag("qkv_bias", False)), dense(c))


def _exaone4(c: Fields) -> tuple[Layer, ...]:
    mixer = attention(c, qk_norm="head")
    return windowed(c, mixer, 4, norms=2) if c.maybe_count("sliding_window") else alike(c, mixer, dense(c))


def _cohere2(c: Fields) -> tuple[Layer, ...]:
    return windowed(c, attention(c), c.count("sliding_window_pattern", default=4), norms=1)


def _glm(c: Fields, norms: int = 2) -> tuple[Layer, ...]:
    """As transformers has it: queries, keys and values apart."""
    return alike(c, attention(c, qkv_bias=True), replace(dense(c), fused_gate_up=True), norms)


def _glm4(c: Fields) -> tuple[Layer, ...]:
    return alike(c, attention(c), replace(dense(c), fused_gate_up=True), norms=4)


def _deepseek_moe(c: Fields) -> tuple[Layer, ...]:
    mixture = experts(c, "n_routed_experts", "moe_intermediate_size", shared_size=shared_experts(c))
    return tuple(Layer(attention(c), (ffn,)) for ffn in dense_first(c, mixture, dense(c)))


def _dots1(c: Fields) -> tuple[Layer, ...]:
    mixture = experts(
        c, "n_routed_experts", "moe_intermediate_size", shared_size=shared_experts(c), router_bias=True
    )
    mixer = attention(c, qk_norm="head")
    return tuple(Layer(mixer, (ffn,)) for ffn in dense_first(c, mixture, dense(c)))


def _ernie_moe(c: Fields) -> tuple[Layer, ...]:
    mixture = experts(
        c, "moe_num_experts", "moe_intermediate_size", "moe_k", router_bias=True,
        shared_size=shared_experts(c, "moe_num_shared_experts"),
    )  # fmt: skip
    first = c.count("moe_layer_start_index")
    return tuple(
        Layer(attention(c), (dense(c) if number < first else mixture,)) for number in range(layer_count(c))
    )


def _minicpm3(c: Fields) -> tuple[Layer, ...]:
    """Latent attention whose keys and values engines expand."""
    mixer = LatentAttention(
        c.count("num_attention_heads"), c.count("kv_lora_rank"), c.count("qk_nope_head_dim"),
        c.count("qk_rope_head_dim"), c.count("hidden_size") // c.count("num_attention_heads") or 1,
        c.count("q_lora_rank"), expanded=True,
    )  # fmt: skip
    return (Layer(mixer, (dense(c),)),) * layer_count(c)


def _mamba(c: Fields) -> tuple[Layer, ...]:
    """States alone."""
    hidden = c.count("hidden_size")
    inner = c.maybe_count("intermediate_size") or c.count("expand", default=2) * hidden
    said = c.table.get("time_step_rank") not in (None, "auto")
    rank = c.count("time_step_rank") if said else -(-hidden // 16)
    mixer = Mamba(inner, c.count("state_size", default=16), c.count("conv_kernel", default=4), rank)
    return (Layer(mixer, (), norms=1),) * layer_count(c)


def _mamba2(c: Fields) -> tuple[Layer, ...]:
    mixer = Mamba2(
        c.count("num_heads"), c.count("head_dim"), c.count("state_size"), c.count("n_groups"),
        c.count("conv_kernel", default=4), conv_bias=c.flag("use_conv_bias", True),
    )  # fmt: skip
    return (Layer(mixer, (), norms=1),) * layer_count(c)


def _jamba(c: Fields) -> tuple[Layer, ...]:
    """Mamba, attention in every so many layers, and experts in every so many others."""
    mamba = Mamba(
        c.count("mamba_expand") * c.count("hidden_size"), c.count("mamba_d_state"), c.count("mamba_d_conv"),
        c.count("mamba_dt_rank"), inner_norms=True,
    )  # fmt: skip
    full, mixture = attention(c), experts(c, "num_experts", "intermediate_size")
    every, first = c.count("attn_layer_period"), c.maybe_count("attn_layer_offset") or 0
    routed_every, routed_first = c.count("expert_layer_period"), c.maybe_count("expert_layer_offset") or 0
    return tuple(
        Layer(
            full if n % every == first else mamba,
            (mixture if n % routed_every == routed_first else dense(c),),
        )
        for n in range(layer_count(c))
    )


def _gemma3n(c: Fields) -> tuple[Layer, ...]:
    """As wide in each layer; the last so many read earlier layers' caches."""
    sizes = c.table.get("intermediate_size")
    if isinstance(sizes, list):
        if len(set(map(str, sizes))) != 1:
            raise c.wrong("intermediate_size differs from layer to layer")
        c = c.having(intermediate_size=sizes[0])
    full = attention(c, qk_norm="head")
    near = replace(full, window=c.count("sliding_window"))
    own = layer_count(c) - (c.maybe_count("num_kv_shared_layers") or 0)
    ffns: tuple[Ffn, ...] = (dense(c),)
    return tuple(
        Layer(replace(full if kind == "full_attention" else near, owns_kv=number < own), ffns, norms=4)
        for number, kind in enumerate(layer_types(c, 5, "sliding_attention"))
    )


def _gemma3n_more(c: Fields) -> dict[str, Any]:
    """Conversion pads the second table to the first one's rows."""
    return {
        "per_layer_embedding": PerLayerEmbedding(
            c.count("hidden_size_per_layer_input"), c.count("vocab_size")
        ),
        "altup": AltUp(c.count("altup_num_inputs"), c.count("laurel_rank")),
    }


def _norm_and_output_bias(_c: Fields) -> dict[str, Any]:
    return {"norm_bias": True, "output_bias": True}


FAMILIES = {
    "apertus": Family(_ungated_normed),
    "arcee": Family(_ungated),
    "baichuan": Family(_llama),
    "cohere2": Family(_cohere2, tied=True),
    "deepseek": Family(_deepseek_moe),
    "dots1": Family(_dots1),
    "ernie4_5": Family(_llama, tied=True),
    "ernie4_5_moe": Family(_ernie_moe, "ernie4_5-moe", tied=True),
    "exaone": Family(_llama, names={"num_hidden_layers": "num_layers"}),
    "exaone4": Family(_exaone4),
    "falcon_mamba": Family(_mamba, "mamba"),
    "gemma3n_text": Family(_gemma3n, "gemma3n", tied=True, more=_gemma3n_more),
    "glm": Family(_glm, "chatglm"),
    "glm4": Family(_glm4),
    "glm4v_text": Family(lambda c: _glm(c, norms=4), "glm4"),
    "gpt_neox": Family(lambda c: _biased(c, fused=True), "gptneox", more=norm_bias),
    "granitemoe": Family(_granite_moe),
    "hunyuan_v1_dense": Family(_qk_normed, "hunyuan-dense"),
    "internlm2": Family(_llama),
    "internlm3": Family(_internlm3, "llama"),
    "jamba": Family(_jamba),
    "mamba": Family(_mamba, tied=True),
    "mamba2": Family(_mamba2),
    "minicpm": Family(_minicpm, tied=True),
    "minicpm3": Family(_minicpm3, tied=True),
    "nemotron": Family(_ungated, more=norm_bias),
    "olmo": Family(_unnormed, more=lambda _: {"output_norm": False}),
    "olmoe": Family(_olmoe),
    "orion": Family(_llama, more=norm_bias),
    "phi": Family(lambda c: _biased(c, norms=1), "phi2", more=_norm_and_output_bias),
    "phimoe": Family(_phimoe, more=_norm_and_output_bias),
    "qwen2_moe": Family(_qwen2_moe, "qwen2moe"),
    "seed_oss": Family(_llama),
    "stablelm": Family(_stablelm, more=norm_bias),
    "starcoder2": Family(_starcoder2, tied=True, more=norm_bias),
    "xverse": Family(_llama),
}
