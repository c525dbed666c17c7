"""What families of Hugging Face configs are read with: the parts they share, and what a family is."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from fitcheck.schema.model import Attention, Experts, FeedForward, Ffn, Layer, QkNorm
from fitcheck.sources.json_fields import Fields

_MOST_LAYERS = 2048


def _nothing_more(_c: Fields) -> dict[str, Any]:
    return {}


class Family(NamedTuple):
    """How a ``model_type`` is read."""

    layers: Callable[[Fields], tuple[Layer, ...]]
    architecture: str = ""  # llama.cpp's name for it, where it isn't the same
    tied: bool = False  # whether embeddings are tied where a config doesn't say
    more: Callable[[Fields], dict[str, Any]] = _nothing_more  # further fields of its Model
    left_out: dict[str, Any] = {}  # noqa: RUF012  what published configs leave to transformers' defaults
    names: dict[str, str] = {}  # noqa: RUF012  the usual name of a field -> what this family calls it

    def fields(self, c: Fields) -> Fields:
        """The fields by their usual names, what is left out filled in. A family's own name goes first."""
        own = {usual: c.table[name] for usual, name in self.names.items() if c.table.get(name) is not None}
        return Fields(self.left_out | c.table | own, c.where)


def attention(c: Fields, qkv_bias: bool = False, qk_norm: QkNorm = "none") -> Attention:
    """Grouped-query attention by its usual names."""
    heads = c.count("num_attention_heads")
    kv_heads = c.count("num_key_value_heads", default=heads)
    hidden = c.count("hidden_size")
    if heads % kv_heads:
        raise c.wrong(f"{heads} attention heads can't share {kv_heads} key and value heads")
    if c.maybe_count("head_dim") is None and hidden % heads:
        raise c.wrong(f"hidden_size {hidden} is no multiple of {heads} attention heads")
    head_dim = c.maybe_count("head_dim") or hidden // heads
    return Attention(heads, kv_heads, head_dim, qk_norm=qk_norm, qkv_bias=c.flag("attention_bias", qkv_bias))


def dense(c: Fields) -> FeedForward:
    """The dense feed-forward block."""
    return FeedForward(c.count("intermediate_size"), bias=c.flag("mlp_bias", False))


def alike(c: Fields, mixer: Attention, ffn: Ffn, norms: int = 2) -> tuple[Layer, ...]:
    """All layers the same."""
    return (Layer(mixer, (ffn,), norms),) * layer_count(c)


def layer_count(c: Fields) -> int:
    """How many layers there are."""
    return c.count("num_hidden_layers", most=_MOST_LAYERS)


def norm_bias(_c: Fields) -> dict[str, Any]:
    """Of a Model whose norms have a bias."""
    return {"norm_bias": True}


def prediction_layers(c: Fields, name: str = "num_nextn_predict_layers") -> int:
    """How many layers behind the last predict further tokens."""
    return c.maybe_count(name, most=_MOST_LAYERS) or 0


def layer_types(c: Fields, period: int, most: str) -> list[Any]:
    """The kind of each layer as listed, else ``full_attention`` every ``period``-th and ``most`` between."""
    count = layer_count(c)
    listed = c.items("layer_types", count)
    return listed or ["full_attention" if n % period == 0 else most for n in range(1, count + 1)]


def windowed(c: Fields, mixer: Attention, period: int, norms: int) -> tuple[Layer, ...]:
    """Layers with a sliding window, and every ``period``-th without, unless the config lists them."""
    full = Layer(mixer, (dense(c),), norms)
    near = Layer(replace(mixer, window=c.count("sliding_window")), full.ffns, norms)
    kinds = layer_types(c, period, "sliding_attention")
    return tuple(full if kind == "full_attention" else near for kind in kinds)


def experts(c: Fields, count: str, size: str, active: str = "num_experts_per_tok", **more: Any) -> Experts:
    """A mixture by the names of its fields. Raises BadInput where more are active than there are."""
    found = Experts(c.count(count), c.count(active), c.count(size), **more)
    if found.active > found.count:
        raise c.wrong(f"a token can't pass through {found.active} of {found.count} experts")
    return found


def shared_experts(c: Fields, number: str = "n_shared_experts") -> int:
    """Size of all experts that every token passes, each as large as a routed one."""
    return (c.maybe_count(number) or 0) * c.count("moe_intermediate_size")


def dense_first(c: Fields, ffn: Experts, dense_ffn: FeedForward) -> list[Ffn]:
    """The feed-forward block of each layer: dense ones in front, experts behind."""
    in_front = c.maybe_count("first_k_dense_replace") or 0
    return [dense_ffn if number < in_front else ffn for number in range(layer_count(c))]


def chosen(c: Fields, name: str) -> list[int]:
    """Zeros and ones, one for each layer."""
    listed = c.items(name, layer_count(c))
    if listed is None or any(one not in (0, 1) for one in listed):
        raise c.wrong(f"{name} must list 0 or 1 for each layer")
    return listed


def alike_in_all(c: Fields, name: str, default: int | None = None) -> int:
    """A whole number that some publishers repeat for each layer. Raises BadInput where they differ."""
    value = c.table.get(name)
    if isinstance(value, list) and value:
        if any(one != value[0] for one in value):
            raise c.wrong(f"{name} differs from layer to layer")
        c = Fields({name: value[0]}, c.where)
    return c.count(name, default)


def _rope(c: Fields) -> Fields:
    """``rope_scaling``; since transformers 5 ``rope_parameters``, which may tell kinds of layers apart."""
    said = c.inner("rope_scaling")
    said = said if said.table else c.inner("rope_parameters")
    full = said.inner("full_attention")
    return full if full.table else said


def rotated_in_tables(c: Fields) -> int:
    """Elements of the tables that llama3 and longrope scaling put into a GGUF file."""
    scaling = _rope(c)
    kind = scaling.text("rope_type") or scaling.text("type")
    if kind == "llama3":
        return attention(c).head_dim // 2
    if kind == "longrope":  # a long and a short factor for each rotated pair
        factors = scaling.table.get("long_factor")
        return 2 * len(factors) if isinstance(factors, list) else 0
    return 0
