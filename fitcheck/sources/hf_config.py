"""A Hugging Face ``config.json`` -> Model.

One function a family. What a config leaves out is filled in as transformers
does; what a family does that fitcheck doesn't know is an error, never a guess.
Tensors and windows are those that llama.cpp makes of the model
(conversion/*.py and src/models/*.cpp, b11434).
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fitcheck.errors import BadInput
from fitcheck.schema.model import Attention, Experts, FeedForward, Ffn, Layer, Model, QkNorm
from fitcheck.sources.json_fields import Fields, read_fields

_MOST_LAYERS = 2048


def load_config(text: str) -> Model:
    """The model of a config file, a directory that holds one, or ``-`` for stdin. Raises BadInput."""
    outer = read_fields(text)
    return model_from_config(outer, _name(text, outer))


def model_from_config(outer: Fields, name: str) -> Model:
    """The language model that a config describes. Raises BadInput where it is unclear.

    Models that also see or hear keep the language model's fields in ``text_config``.
    """
    inner = outer.inner("text_config")
    fields = inner if inner.table else outer
    kind = fields.text("model_type") or outer.text("model_type")
    if (family := FAMILIES.get(kind)) is None:
        known = ", ".join(sorted(FAMILIES))
        raise BadInput(f"{outer.where}: model_type {kind[:40]!r} is not known", f"known are: {known}")
    fields = Fields(_LEFT_OUT.get(kind, {}) | fields.table, fields.where)
    tied = fields.flag("tie_word_embeddings", outer.flag("tie_word_embeddings", kind in _TIED))
    return Model(
        name=name,
        source=outer.where,
        architecture=_ARCHITECTURES.get(kind, kind),
        hidden_size=fields.count("hidden_size"),
        vocab_size=fields.count("vocab_size"),
        layers=family(fields),
        tied_embeddings=tied,
        context_max=fields.maybe_count("max_position_embeddings"),
        rope_freqs=_rope_freqs(fields),
        trained_ternary=kind == "bitnet",
        published_in="MXFP4_MOE" if kind == "gpt_oss" else None,
    )


def _name(text: str, fields: Fields) -> str:
    """What to call it: the path it says it came from, else the directory or file it lies in."""
    if said := fields.text("_name_or_path").rstrip("/"):
        return said.rsplit("/", 1)[-1]
    if text == "-":
        return "stdin"
    path = Path(text).expanduser().resolve()
    return path.parent.name if path.name == "config.json" else path.stem if path.is_file() else path.name


def _attention(c: Fields, qkv_bias: bool = False, qk_norm: QkNorm = "none") -> Attention:
    heads = c.count("num_attention_heads")
    kv_heads = c.count("num_key_value_heads", default=heads)
    hidden = c.count("hidden_size")
    if heads % kv_heads:
        raise c.wrong(f"{heads} attention heads can't share {kv_heads} key and value heads")
    if c.maybe_count("head_dim") is None and hidden % heads:
        raise c.wrong(f"hidden_size {hidden} is no multiple of {heads} attention heads")
    head_dim = c.count("head_dim", default=hidden // heads)
    return Attention(heads, kv_heads, head_dim, qk_norm=qk_norm, qkv_bias=c.flag("attention_bias", qkv_bias))


def _ffn(c: Fields) -> FeedForward:
    return FeedForward(c.count("intermediate_size"), bias=c.flag("mlp_bias", False))


def _alike(c: Fields, attention: Attention, ffn: Ffn, norms: int = 2) -> tuple[Layer, ...]:
    """All layers the same."""
    return (Layer(attention, (ffn,), norms),) * _layer_count(c)


def _layer_count(c: Fields) -> int:
    return c.count("num_hidden_layers", most=_MOST_LAYERS)


def _windowed(c: Fields, attention: Attention, period: int, norms: int) -> tuple[Layer, ...]:
    """Layers with a sliding window, and every ``period``-th without, unless the config lists them."""
    count = _layer_count(c)
    alternating = ["" if layer % period else "full_attention" for layer in range(1, count + 1)]
    types = c.items("layer_types", count) or alternating
    full = Layer(attention, (_ffn(c),), norms)
    near = Layer(replace(attention, window=c.count("sliding_window")), full.ffns, norms)
    return tuple(full if kind == "full_attention" else near for kind in types)


def _llama(c: Fields) -> tuple[Layer, ...]:
    return _alike(c, _attention(c), _ffn(c))


def _qwen2(c: Fields) -> tuple[Layer, ...]:
    return _alike(c, _attention(c, qkv_bias=True), _ffn(c))


def _qwen3(c: Fields) -> tuple[Layer, ...]:
    return _alike(c, _attention(c, qk_norm="head"), _ffn(c))


def _mixtral(c: Fields) -> tuple[Layer, ...]:
    experts = Experts(
        c.count("num_local_experts"), c.count("num_experts_per_tok"), c.count("intermediate_size")
    )
    return _alike(c, _attention(c), _sound(c, experts))


def _qwen3_moe(c: Fields) -> tuple[Layer, ...]:
    """Experts in every layer; configs could mix dense layers in, but no published one does."""
    if c.table.get("mlp_only_layers") or c.count("decoder_sparse_step", default=1) != 1:
        raise c.wrong("dense layers among the experts are not known for qwen3_moe")
    experts = Experts(
        c.count("num_experts"), c.count("num_experts_per_tok"), c.count("moe_intermediate_size")
    )
    return _alike(c, _attention(c, qk_norm="head"), _sound(c, experts))


def _sound(c: Fields, experts: Experts) -> Experts:
    if experts.active > experts.count:
        raise c.wrong(f"a token can't pass through {experts.active} of {experts.count} experts")
    return experts


def _gemma2(c: Fields) -> tuple[Layer, ...]:
    return _windowed(c, _attention(c), period=2, norms=4)


def _gemma3(c: Fields) -> tuple[Layer, ...]:
    period = c.count("sliding_window_pattern", default=6)
    return _windowed(c, _attention(c, qk_norm="head"), period, norms=4)


def _phi3(c: Fields) -> tuple[Layer, ...]:
    """One tensor for queries, keys and values, one for gate and up; llama.cpp ignores the window."""
    attention = replace(_attention(c), fused_qkv=True)
    return _alike(c, attention, replace(_ffn(c), fused_gate_up=True))


def _bitnet(c: Fields) -> tuple[Layer, ...]:
    return _alike(c, replace(_attention(c), sub_norm=True), replace(_ffn(c), sub_norm=True))


FAMILIES: dict[str, Callable[[Fields], tuple[Layer, ...]]] = {
    "bitnet": _bitnet,
    "gemma": _llama,
    "gemma2": _gemma2,
    "gemma3_text": _gemma3,
    "llama": _llama,
    "ministral3": _llama,
    "mistral": _llama,
    "mixtral": _mixtral,
    "phi3": _phi3,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
    "qwen3_moe": _qwen3_moe,
    "smollm3": _llama,
}
"""``model_type`` -> the function that spells its layers out."""

# Families that llama.cpp calls otherwise, and those that tie their embeddings unless they say no.
_ARCHITECTURES = {
    "gemma3_text": "gemma3",
    "ministral3": "mistral3",
    "mistral": "llama",
    "mixtral": "llama",
    "qwen3_moe": "qwen3moe",
}
_TIED = {"bitnet", "gemma", "gemma2", "gemma3_text", "smollm3"}

# What published configs of a family leave to transformers' defaults.
_LEFT_OUT = {
    "gemma3_text": {
        "head_dim": 256,
        "max_position_embeddings": 131072,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "vocab_size": 262208,
    }
}


def _rope_freqs(c: Fields) -> int:
    """Elements of the tables that llama3 and longrope scaling put into a GGUF file."""
    scaling = c.inner("rope_scaling")
    kind = scaling.text("rope_type") or scaling.text("type")
    if kind == "llama3":
        return _attention(c).head_dim // 2
    if kind == "longrope":  # a long and a short factor for each rotated pair
        factors = scaling.table.get("long_factor")
        return 2 * len(factors) if isinstance(factors, list) else 0
    return 0
