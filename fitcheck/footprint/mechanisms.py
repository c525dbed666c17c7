"""What each mechanism of a layer stores: its tensors, and its cache or state.

One registered function a mechanism, and nothing else knows it. Names and
shapes are those of the GGUF file (llama.cpp b11434, load_arch_tensors in
src/models/*.cpp); ``cols`` is GGUF's ne[0], the input dimension. Vectors,
norms, biases, routers and small convolutions stay F32 in every mix
(tensor_allows_quantization in src/llama-quant.cpp).
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

from fitcheck.schema.model import (
    Attention,
    Experts,
    FeedForward,
    GatedDeltaNet,
    LatentAttention,
    Mamba,
    Mamba2,
    ShortConv,
)

Part = Literal["embedding", "attention", "state", "ffn", "experts", "norm", "output", "other"]


class Tensor(NamedTuple):
    """One tensor of the file: ``stack`` matrices of ``rows`` rows of ``cols`` weights.

    ``keep`` is the type it has in every mix; None leaves the choice to the
    mix. A decode step reads ``rows_read`` rows of ``stack_read`` matrices.
    """

    name: str
    part: Part
    cols: int
    rows: int
    stack: int
    keep: str | None
    rows_read: int
    stack_read: int

    @property
    def weights(self) -> int:
        return self.cols * self.rows * self.stack

    @property
    def weights_read(self) -> int:
        return self.cols * self.rows_read * self.stack_read


class Cache(NamedTuple):
    """Elements a layer keeps of every token, and how many tokens back it looks."""

    key: int
    value: int
    heads: int = 1  # that share the row
    window: int | None = None
    owned: bool = True  # False where it reads what another layer keeps


class Scratch(NamedTuple):
    """F32 elements that computing one token holds at the widest moment of a mechanism.

    Read off llama.cpp's graphs and checked against the buffers it reserves;
    the hidden rows that every mechanism holds besides are added in compute.py.
    """

    elements: int
    heads: int = 0  # each scores every cell, unless flash attention spares it
    window: int | None = None  # of those cells
    state: int = 0  # elements once a sequence


class Mechanism(NamedTuple):
    """What the file holds of a part of a layer, and what running it keeps."""

    tensors: tuple[Tensor, ...]
    scratch: Scratch
    cache: Cache | None = None
    state: int = 0  # F32 elements a sequence, whatever the context


def matrix(name: str, part: Part, cols: int, rows: int) -> Tensor:
    """A matrix whose type the mix chooses."""
    return Tensor(name + ".weight", part, cols, rows, 1, None, rows, 1)


def stacked(name: str, part: Part, cols: int, rows: int, *, stack: int, read: int) -> Tensor:
    """``stack`` matrices in one tensor, of which a token needs ``read``."""
    return Tensor(name + ".weight", part, cols, rows, stack, None, rows, read)


def small(name: str, part: Part, cols: int, rows: int = 1, rows_read: int | None = None) -> Tensor:
    """A vector or a small matrix that stays F32."""
    return Tensor(name, part, cols, rows, 1, "F32", rows if rows_read is None else rows_read, 1)


Kind = TypeVar("Kind")
_REGISTRY: dict[type, Callable[[Any, int], Mechanism]] = {}


def _mechanism(kind: type[Kind]) -> Callable[[Callable[[Kind, int], Mechanism]], None]:
    def register(function: Callable[[Kind, int], Mechanism]) -> None:
        _REGISTRY[kind] = function

    return register


def describe(mechanism: object, hidden_size: int) -> Mechanism:
    """The tensors and the cache of one mixer or feed-forward block."""
    return _REGISTRY[type(mechanism)](mechanism, hidden_size)


@_mechanism(Attention)
def _attention(a: Attention, hidden: int) -> Mechanism:
    """Queries, keys, values and output; keys and values of every token are cached."""
    values = a.value_dim or a.head_dim
    query = a.heads * a.head_dim * (2 if a.gated else 1)
    cache = Cache(a.kv_heads * a.head_dim, a.kv_heads * values, a.kv_heads, a.window, a.owns_kv)
    projections = {"attn_q": query}
    if a.owns_kv:
        projections["attn_k"] = cache.key
    if a.owns_kv and not a.k_is_v:
        projections["attn_v"] = cache.value
    if a.fused_qkv:
        projections = {"attn_qkv": sum(projections.values())}
    tensors = [matrix(name, "attention", hidden, rows) for name, rows in projections.items()]
    if a.qkv_bias:
        tensors += [small(name + ".bias", "attention", rows) for name, rows in projections.items()]
    tensors.append(matrix("attn_output", "attention", a.heads * values, hidden))
    scratch = Scratch(query + a.heads * a.head_dim, a.heads, a.window)
    return Mechanism((*tensors, *_attention_vectors(a, hidden)), scratch, cache)


def _attention_vectors(a: Attention, hidden: int) -> tuple[Tensor, ...]:
    """The norms, sinks and output bias that some families add."""
    heads, kv_heads = (a.heads, a.kv_heads) if a.qk_norm == "full" else (1, 1)
    present = {
        "attn_q_norm.weight": a.head_dim * heads if a.qk_norm != "none" else 0,
        "attn_k_norm.weight": a.head_dim * kv_heads if a.qk_norm != "none" and a.owns_kv else 0,
        "attn_sub_norm.weight": a.heads * (a.value_dim or a.head_dim) if a.sub_norm else 0,
        "attn_sinks.weight": a.heads if a.sinks else 0,
        "attn_output.bias": hidden if a.output_bias else 0,
    }
    return tuple(small(name, "norm", length) for name, length in present.items() if length)


@_mechanism(LatentAttention)
def _latent_attention(a: LatentAttention, hidden: int) -> Mechanism:
    """Keys and values share one compressed row a token; llama.cpp caches no values for it."""
    query = a.heads * (a.nope_head_dim + a.rope_head_dim)
    latent = a.kv_lora_rank + a.rope_head_dim
    if a.q_lora_rank is None:
        queries = [matrix("attn_q", "attention", hidden, query)]
    else:
        queries = [
            matrix("attn_q_a", "attention", hidden, a.q_lora_rank),
            matrix("attn_q_b", "attention", a.q_lora_rank, query),
            small("attn_q_a_norm.weight", "norm", a.q_lora_rank),
        ]
    tensors = (
        *queries,
        matrix("attn_kv_a_mqa", "attention", hidden, latent),
        small("attn_kv_a_norm.weight", "norm", a.kv_lora_rank),
        stacked("attn_k_b", "attention", a.nope_head_dim, a.kv_lora_rank, stack=a.heads, read=a.heads),
        stacked("attn_v_b", "attention", a.kv_lora_rank, a.value_dim, stack=a.heads, read=a.heads),
        matrix("attn_output", "attention", a.heads * a.value_dim, hidden),
    )
    scratch = Scratch(query + a.heads * (latent + a.kv_lora_rank) + hidden, a.heads)
    return Mechanism(tensors, scratch, Cache(latent, 0))


@_mechanism(Mamba)
def _mamba(m: Mamba, hidden: int) -> Mechanism:
    """State a channel, and the last tokens its convolution needs."""
    tensors = [
        matrix("ssm_in", "state", hidden, 2 * m.inner_size),
        small("ssm_conv1d.weight", "state", m.conv_kernel, m.inner_size),
        small("ssm_conv1d.bias", "state", m.inner_size),
        matrix("ssm_x", "state", m.inner_size, m.dt_rank + 2 * m.state_size),
        matrix("ssm_dt", "state", m.dt_rank, m.inner_size),
        small("ssm_dt.bias", "state", m.inner_size),
        small("ssm_a", "state", m.state_size, m.inner_size),
        small("ssm_d", "state", m.inner_size),
        matrix("ssm_out", "state", m.inner_size, hidden),
    ]
    if m.inner_norms:
        lengths = {"ssm_dt_norm": m.dt_rank, "ssm_b_norm": m.state_size, "ssm_c_norm": m.state_size}
        tensors += [small(name + ".weight", "norm", length) for name, length in lengths.items()]
    state = (m.conv_kernel - 1 + m.state_size) * m.inner_size
    return Mechanism(tuple(tensors), Scratch(5 * m.inner_size, state=state), state=state)


@_mechanism(Mamba2)
def _mamba2(m: Mamba2, hidden: int) -> Mechanism:
    """Like Mamba, with B and C shared by the heads of a group."""
    inner = m.heads * m.head_dim
    mixed = inner + 2 * m.groups * m.state_size
    tensors = [
        matrix("ssm_in", "state", hidden, inner + mixed + m.heads),
        small("ssm_conv1d.weight", "state", m.conv_kernel, mixed),
        small("ssm_dt.bias", "state", m.heads),
        small("ssm_a", "state", 1, m.heads),
        small("ssm_d", "state", 1, m.heads),
        small("ssm_norm.weight", "norm", inner // m.groups, m.groups),
        matrix("ssm_out", "state", inner, hidden),
    ]
    if m.conv_bias:
        tensors.append(small("ssm_conv1d.bias", "state", mixed))
    state = (m.conv_kernel - 1) * mixed + m.state_size * inner
    return Mechanism(tuple(tensors), Scratch(2 * mixed + 3 * inner + m.heads, state=state), state=state)


@_mechanism(GatedDeltaNet)
def _gated_delta_net(g: GatedDeltaNet, hidden: int) -> Mechanism:
    """A matrix of state a value head. Qwen3-Next keeps beta and alpha in one tensor."""
    values = g.value_heads * g.value_head_dim
    mixed = 2 * g.key_heads * g.key_head_dim + values
    gates = {"ssm_ba": 2} if g.fused_projections else {"ssm_alpha": 1, "ssm_beta": 1}
    tensors = (
        matrix("attn_qkv", "state", hidden, mixed),
        matrix("attn_gate", "state", hidden, values),
        *(matrix(name, "state", hidden, g.value_heads * times) for name, times in gates.items()),
        small("ssm_conv1d.weight", "state", g.conv_kernel, mixed),
        small("ssm_dt.bias", "state", g.value_heads),
        small("ssm_a", "state", g.value_heads),
        small("ssm_norm.weight", "norm", g.value_head_dim),
        matrix("ssm_out", "state", values, hidden),
    )
    state = (g.conv_kernel - 1) * mixed + g.key_head_dim * values
    return Mechanism(tensors, Scratch(mixed + 3 * values, state=state), state=state)


@_mechanism(ShortConv)
def _short_conv(c: ShortConv, hidden: int) -> Mechanism:
    """Only the last tokens are kept."""
    tensors = (
        small("shortconv.conv.weight", "state", c.conv_kernel, hidden),
        matrix("shortconv.in_proj", "state", hidden, 3 * hidden),
        matrix("shortconv.out_proj", "state", hidden, hidden),
    )
    return Mechanism(tensors, Scratch(3 * hidden), state=(c.conv_kernel - 1) * hidden)


@_mechanism(FeedForward)
def _feed_forward(f: FeedForward, hidden: int) -> Mechanism:
    """Up and down, most often with a gate beside up."""
    wide = {"ffn_up": 2 * f.size} if f.fused_gate_up else {"ffn_up": f.size}
    if f.gated and not f.fused_gate_up:
        wide = {"ffn_gate": f.size, **wide}
    tensors = [matrix(name, "ffn", hidden, rows) for name, rows in wide.items()]
    tensors.append(matrix("ffn_down", "ffn", f.size, hidden))
    if f.bias:
        lengths = {**wide, "ffn_down": hidden}
        tensors += [small(name + ".bias", "ffn", length) for name, length in lengths.items()]
    if f.sub_norm:
        tensors.append(small("ffn_sub_norm.weight", "norm", f.size))
    return Mechanism(tuple(tensors), Scratch(3 * f.size))


@_mechanism(Experts)
def _experts(e: Experts, hidden: int) -> Mechanism:
    """A router, its experts stacked in one tensor a role, and those every token passes."""
    inner = e.latent_size or hidden
    wide = ("gate", "up") if e.gated else ("up",)
    tensors = [small("ffn_gate_inp.weight", "experts", hidden, e.count)]
    each = {**dict.fromkeys(wide, (inner, e.size)), "down": (e.size, inner)}
    tensors += [
        stacked(f"ffn_{role}_exps", "experts", *shape, stack=e.count, read=e.active)
        for role, shape in each.items()
    ]
    if e.latent_size:
        tensors.append(matrix("ffn_latent_down", "experts", hidden, inner))
        tensors.append(matrix("ffn_latent_up", "experts", inner, hidden))
    if e.shared_size:
        tensors += [matrix(f"ffn_{role}_shexp", "ffn", hidden, e.shared_size) for role in wide]
        tensors.append(matrix("ffn_down_shexp", "ffn", e.shared_size, hidden))
    scratch = Scratch(e.active * max(3 * e.size, e.size + 2 * inner))
    return Mechanism((*tensors, *_expert_vectors(e, hidden, wide)), scratch)


def _expert_vectors(e: Experts, hidden: int, wide: tuple[str, ...]) -> list[Tensor]:
    """Biases of router and experts, and the router of the shared expert."""
    vectors = []
    if e.shared_gate:
        vectors.append(small("ffn_gate_inp_shexp.weight", "experts", hidden))
    if e.router_bias:
        vectors.append(small("exp_probs_b.bias", "experts", e.count))
    if e.bias:
        lengths = {**dict.fromkeys(wide, e.size), "down": e.latent_size or hidden}
        vectors.append(small("ffn_gate_inp.bias", "experts", e.count))
        vectors += [
            small(f"ffn_{role}_exps.bias", "experts", length, e.count, rows_read=e.active)
            for role, length in lengths.items()
        ]
    return vectors
