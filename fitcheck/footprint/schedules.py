"""What running each mechanism takes and gives back in the compute buffer, tensor by tensor.

One registered function a mechanism, after its graph in llama.cpp b11434
(src/llama-graph.cpp, src/models/*.cpp). Views take nothing. An operation that
ggml runs in place (ggml_op_can_inplace) takes nothing either, unless its
source is a view: so the first norm or rotation after a reshape does. A
mechanism that has no schedule here counts as one tensor, its scratch.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from fitcheck.footprint.arena import Tape
from fitcheck.footprint.mechanisms import describe
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

Kind = TypeVar("Kind")
Schedule = Callable[[Any, Tape, int, int], int]
_REGISTRY: dict[type, Schedule] = {}


def run(part: object, tape: Tape, hidden: int, source: int) -> int:
    """Record a part that reads ``source`` and drops it; the tensor it leaves has ``hidden`` rows."""
    return _REGISTRY.get(type(part), _unscheduled)(part, tape, hidden, source)


def _schedule(kind: type[Kind]) -> Callable[[Callable[[Kind, Tape, int, int], int]], None]:
    def register(function: Callable[[Kind, Tape, int, int], int]) -> None:
        _REGISTRY[kind] = function

    return register


def _unscheduled(part: object, tape: Tape, hidden: int, source: int) -> int:
    scratch = describe(part, hidden).scratch
    scores = 0 if tape.flash else scratch.heads
    held = tape.take(scratch.elements, score=scores, sequence=scratch.state, window=scratch.window)
    tape.drop(source)
    return _project(tape, hidden, held)


def _project(tape: Tape, size: int, source: int) -> int:
    """A product with a matrix: the result, and its source is done with."""
    result = tape.take(size)
    tape.drop(source)
    return result


@_schedule(Attention)
def _attention(a: Attention, tape: Tape, hidden: int, source: int) -> int:
    values = a.heads * (a.value_dim or a.head_dim)
    gate = None
    if a.fused_qkv:
        query = _qkv_fused(a, tape, source)
    else:
        query, gate = _queries(a, tape)
        _keys_and_values(a, tape, source)
    output = _attend(tape, a.heads, values, a.window, query)
    if _turns_back(a, tape):
        output = _project(tape, values, output)
    if gate is not None:
        # The gate is a strided half of the queries: it is copied out, and multiplied in place.
        output = _second(tape, output, _project(tape, values, gate))
    if a.sub_norm:
        output = _project(tape, values, output)
    return _project(tape, hidden, output) if tape.projects else output


def _second(tape: Tape, first: int, second: int) -> int:
    tape.drop(first)
    return second


def _queries(a: Attention, tape: Tape) -> tuple[int, int | None]:
    """Queries as attention reads them, and what their gate is half of, where they have one."""
    width = a.heads * a.head_dim
    if a.gated:
        both = tape.take(2 * width)
        query = tape.take(width)
        return (_project(tape, width, query) if _turns_back(a, tape) else query), both
    query = tape.take(width)
    if _turned(a, tape):
        query = _project(tape, width, query)
    return (_project(tape, width, query) if _turns_back(a, tape) else query), None


def _turned(a: Attention, tape: Tape) -> bool:
    """Whether queries and keys are normed or rotated; the first of the two needs a tensor of its own."""
    return tape.rotates or a.qk_norm != "none"


def _turns_back(a: Attention, tape: Tape) -> bool:
    """Whether rows are turned to lose less when the cache rounds them: queries and keys, values and back."""
    return tape.quantized and a.head_dim % 64 == 0


def _keys_and_values(a: Attention, tape: Tape, source: int) -> None:
    """Both go to the cache."""
    if not a.owns_kv:
        tape.drop(source)
        return
    value = tape.take(a.kv_heads * (a.value_dim or a.head_dim))
    key = _project(tape, a.kv_heads * a.head_dim, source)
    if _turned(a, tape):
        key = _project(tape, a.kv_heads * a.head_dim, key)
    if _turns_back(a, tape):
        key = _project(tape, a.kv_heads * a.head_dim, key)
        value = _project(tape, a.kv_heads * (a.value_dim or a.head_dim), value)
    tape.drop(key, value)


def _qkv_fused(a: Attention, tape: Tape, source: int) -> int:
    """Queries and keys are rotated out of the one tensor; values are stored from it."""
    keys, values = a.kv_heads * a.head_dim, a.kv_heads * (a.value_dim or a.head_dim)
    fused = _project(tape, a.heads * a.head_dim + keys + values, source)
    query = tape.take(a.heads * a.head_dim)
    tape.drop(tape.take(keys), fused)
    return query


def _attend(tape: Tape, heads: int, values: int, window: int | None, query: int) -> int:
    """Scores of all heads, then their values; with flash attention the values alone."""
    if tape.flash:
        return _project(tape, values, query)
    scores = tape.take(score=heads, window=window)
    tape.drop(query)
    return _project(tape, values, _project(tape, values, scores))


@_schedule(LatentAttention)
def _latent_attention(a: LatentAttention, tape: Tape, hidden: int, source: int) -> int:
    latent = a.kv_lora_rank + a.rope_head_dim
    low = tape.keep(source) if a.q_lora_rank is None else tape.take(a.q_lora_rank)
    query = _project(tape, a.heads * (a.nope_head_dim + a.rope_head_dim), low)
    absorbed = tape.take(a.heads * a.kv_lora_rank)
    rotated = _project(tape, a.heads * a.rope_head_dim, query)
    query = tape.take(a.heads * latent)
    tape.drop(absorbed, rotated)
    compressed = _project(tape, latent, source)
    key = tape.take(a.kv_lora_rank)
    rotated = _project(tape, a.rope_head_dim, compressed)
    tape.drop(tape.take(latent), key, rotated)
    output = _latent_attend(a, tape, query)
    output = _project(tape, a.heads * a.value_dim, output)
    return _project(tape, hidden, _project(tape, a.heads * a.value_dim, output))


def _latent_attend(a: LatentAttention, tape: Tape, query: int) -> int:
    """Without flash attention the compressed rows are copied to be read as values."""
    if tape.flash:
        return _project(tape, a.heads * a.kv_lora_rank, query)
    copied = tape.take(cell=a.kv_lora_rank, width=2)
    scores = tape.take(score=a.heads)
    tape.drop(query)
    output = tape.take(a.heads * a.kv_lora_rank)
    tape.drop(copied, scores)
    return output


@_schedule(Mamba)
def _mamba(m: Mamba, tape: Tape, hidden: int, source: int) -> int:
    gathered = tape.take(sequence=(m.conv_kernel - 1) * m.inner_size)
    both = _project(tape, 2 * m.inner_size, source)
    mixed = _convolve(tape, m.inner_size, m.conv_kernel, gathered)
    low = tape.take(m.dt_rank + 2 * m.state_size, uses=3 if m.inner_norms else 1)
    if m.inner_norms:
        dt = _project(tape, m.inner_size, _project(tape, m.dt_rank, low))
        read = [dt, _project(tape, m.state_size, low), _project(tape, m.state_size, low)]
    else:
        read = [tape.take(m.inner_size), low]
    scanned = tape.take(m.inner_size, sequence=m.state_size * m.inner_size)
    tape.drop(*read)
    gate = _project(tape, m.inner_size, both)
    tape.drop(scanned)
    gated = tape.take(m.inner_size)
    tape.drop(gate, mixed)
    return _project(tape, hidden, gated)


def _convolve(tape: Tape, size: int, kernel: int, *sources: int) -> int:
    """The last tokens before the new ones, then the convolution over both."""
    joined = tape.take(size, sequence=(kernel - 1) * size)
    tape.drop(*sources)
    return _project(tape, size, joined)


@_schedule(Mamba2)
def _mamba2(m: Mamba2, tape: Tape, hidden: int, source: int) -> int:
    inner = m.heads * m.head_dim
    mixed_size = inner + 2 * m.groups * m.state_size
    gathered = tape.take(sequence=(m.conv_kernel - 1) * mixed_size)
    all_of_it = _project(tape, inner + mixed_size + m.heads, source)
    mixed = _convolve(tape, mixed_size, m.conv_kernel, gathered)
    dt = tape.take(m.heads)
    scanned = tape.take(inner, sequence=m.state_size * inner)
    tape.drop(dt)
    gate = _project(tape, inner, all_of_it)
    skipped = _project(tape, inner, mixed)
    tape.drop(scanned)
    gated = tape.take(inner)
    tape.drop(gate, skipped)
    return _project(tape, hidden, _project(tape, inner, gated))


@_schedule(GatedDeltaNet)
def _gated_delta_net(g: GatedDeltaNet, tape: Tape, hidden: int, source: int) -> int:
    values, keys = g.value_heads * g.value_head_dim, g.key_heads * g.key_head_dim
    mixed_size = 2 * keys + values
    gathered = tape.take(sequence=(g.conv_kernel - 1) * mixed_size)
    joined = (gathered, tape.take(mixed_size))
    state = tape.take(sequence=g.key_head_dim * values)
    mixed = _convolve(tape, mixed_size, g.conv_kernel, *joined)
    read = [state, mixed, tape.take(keys), tape.take(keys)]
    read += [_project(tape, g.value_heads, tape.take(g.value_heads)) for _ in ("alpha", "beta")]
    updated = tape.take(values, sequence=g.key_head_dim * values)
    tape.drop(*read)
    normed = _project(tape, values, updated)
    gate = _project(tape, values, _project(tape, values, source))
    tape.drop(gate)
    return _project(tape, hidden, normed)


@_schedule(ShortConv)
def _short_conv(c: ShortConv, tape: Tape, hidden: int, source: int) -> int:
    gathered = tape.take(sequence=(c.conv_kernel - 1) * hidden)
    projected = _project(tape, 3 * hidden, source)
    mixed = _convolve(tape, hidden, c.conv_kernel, gathered, tape.take(hidden))
    tape.drop(projected)
    return _project(tape, hidden, mixed)


@_schedule(FeedForward)
def _feed_forward(f: FeedForward, tape: Tape, hidden: int, source: int) -> int:
    return _project(tape, hidden, _widen(tape, f.size, source, gated=f.gated, fused=f.fused_gate_up))


def _widen(tape: Tape, size: int, source: int, *, gated: bool, fused: bool = False) -> int:
    """Gate and up, and their product; without a gate the activation works in place."""
    if not gated:
        return _project(tape, size, source)
    if fused:
        return _project(tape, size, _project(tape, 2 * size, source))
    wide = (tape.take(size), _project(tape, size, source))
    product = tape.take(size)
    tape.drop(*wide)
    return product


@_schedule(Experts)
def _experts(e: Experts, tape: Tape, hidden: int, source: int) -> int:
    inner = e.latent_size or hidden
    shared = tape.keep(source) if e.shared_size else None
    chosen, weights = _route(e, tape)
    if e.active == 1:  # Llama 4 weights what goes in, others what comes out
        source = _project(tape, hidden, source)
    if e.latent_size:
        source = _project(tape, inner, source)
    wide = _widen(tape, e.active * e.size, source, gated=e.gated)
    down = _project(tape, e.active * inner, wide)
    tape.drop(chosen, weights)
    output = _project(tape, inner, down)
    if e.latent_size:
        output = _project(tape, hidden, output)
    if shared is not None:
        _share(e, tape, hidden, shared)
    return output


def _share(e: Experts, tape: Tape, hidden: int, source: int) -> None:
    """The expert of every token; its gate, where it has one, reads the source after it."""
    if e.shared_gate:
        tape.keep(source)
    shared = _project(tape, hidden, _widen(tape, e.shared_size, source, gated=e.gated))
    if e.shared_gate:
        tape.drop(_project(tape, 1, source))
    tape.drop(shared)


def _route(e: Experts, tape: Tape) -> tuple[int, int]:
    """The router's order of experts, and the weights of the chosen ones."""
    scores = tape.take(e.count)
    biased = tape.take(e.count) if e.router_bias or e.active == 1 else None
    order = tape.take(e.count)
    if biased is not None:
        tape.drop(biased)
    weights = _project(tape, e.active, scores)
    return order, weights
