"""Grouped-query attention: what it stores, and what running it takes."""

from fitcheck.footprint.arena import Tape
from fitcheck.footprint.mechanisms.parts import (
    Cache,
    Mechanism,
    Tensor,
    half,
    matrix,
    project,
    register,
    small,
    unread,
)
from fitcheck.schema.model import Attention, Indexer

_SCORED = 256
"""Cells whose keys MiniMax M3's indexer scores at a time."""


def _stored(a: Attention, hidden: int) -> Mechanism:
    """Queries, keys, values and output; keys and values of every token are cached."""
    values = a.value_dim or a.head_dim
    query = a.heads * a.head_dim * (2 if a.gated else 1)
    cache = Cache(a.kv_heads * a.head_dim, a.kv_heads * values, a.kv_heads, a.window, a.owns_kv)
    projections = {"attn_q": query, "attn_k": cache.key}
    if not a.k_is_v:
        projections["attn_v"] = cache.value
    if a.fused_qkv:
        projections = {"attn_qkv": sum(projections.values())}
    tensors = [matrix(name, "attention", hidden, rows) for name, rows in projections.items()]
    if a.qkv_bias:
        tensors += [small(name + ".bias", "attention", rows) for name, rows in projections.items()]
    tensors.append(matrix("attn_output", "attention", a.heads * values, hidden))
    tensors += output_gate(a.gate_size, hidden)
    tensors += _attention_vectors(a, hidden)
    if a.indexer is None:
        return Mechanism(tuple(_borrowed(a, tensors)), (cache,))
    own = Cache(a.indexer.head_dim, values, apart=True)  # its values are kept and never read
    return Mechanism((*tensors, *_block_indexer(a.indexer, hidden)), (cache, own))


def _borrowed(a: Attention, tensors: list[Tensor]) -> list[Tensor]:
    """A layer that reads another's cache has keys and values in its file all the same.

    Files of Gemma 3n and Gemma 4 E hold them: 601 tensors for the 35 layers of
    E2B, 720 for the 42 of E4B (ggml-org/llama.cpp issue 21328).
    """
    if a.owns_kv:
        return tensors
    return [unread(one) if one.name.startswith(("attn_k", "attn_v")) else one for one in tensors]


def _attention_vectors(a: Attention, hidden: int) -> list[Tensor]:
    """The norms, sinks and output bias that some families add."""
    heads, kv_heads = (a.heads, a.kv_heads) if a.qk_norm == "full" else (1, 1)
    present = {
        "attn_q_norm.weight": a.head_dim * heads if a.qk_norm != "none" else 0,
        "attn_k_norm.weight": a.head_dim * kv_heads if a.qk_norm != "none" else 0,
        "attn_sub_norm.weight": a.heads * (a.value_dim or a.head_dim) if a.sub_norm else 0,
        "attn_sinks.weight": a.heads if a.sinks else 0,
        "attn_output.bias": hidden if a.output_bias else 0,
    }
    return [small(name, "norm", length) for name, length in present.items() if length]


def output_gate(size: int, hidden: int) -> list[Tensor]:
    """A matrix that gates the output, where a family has one."""
    return [matrix("attn_gate", "attention", hidden, size)] if size else []


def _block_indexer(i: Indexer, hidden: int) -> tuple[Tensor, ...]:
    """MiniMax M3's, which scores blocks of tokens; too small to be quantized."""
    return (
        half("indexer.q_proj", "attention", hidden, i.heads * i.head_dim),
        half("indexer.k_proj", "attention", hidden, i.head_dim),
        small("indexer.q_norm.weight", "norm", i.head_dim),
        small("indexer.k_norm.weight", "norm", i.head_dim),
    )


def _run(a: Attention, tape: Tape, hidden: int, source: int) -> int:
    values = a.heads * (a.value_dim or a.head_dim)
    gate = None
    if a.gate_size:
        tape.keep(source)
    if a.indexer is not None and tape.flash and not tape.shares_cells:
        return _block_sparse(a, a.indexer, tape, hidden, source)
    if a.fused_qkv:
        query = _qkv_fused(a, tape, source)
    else:
        query, gate = _queries(a, tape)
        _keys_and_values(a, tape, source)
    output = attend(tape, a.heads, values, a.window, query)
    if _turns(a, tape) and tape.turns_back:
        output = project(tape, values, output)
    if gate is not None:
        # The gate is a strided half of the queries: it is copied out, and multiplied in place.
        output = _second(tape, output, project(tape, values, gate))
    if a.gate_size:
        output = gated(a.gate_size, tape, values, output, source)
    if a.sub_norm:
        output = project(tape, values, output)
    return project(tape, hidden, output) if tape.projects else output


def finish(a: object, tape: Tape, hidden: int, output: int) -> int:
    """What attention left for later: its output turned back, and the product."""
    if isinstance(a, Attention) and _turns(a, tape):
        output = project(tape, a.heads * (a.value_dim or a.head_dim), output)
    return project(tape, hidden, output)


def _second(tape: Tape, first: int, second: int) -> int:
    tape.drop(first)
    return second


def gated(size: int, tape: Tape, values: int, output: int, source: int) -> int:
    """The output times a gate: in the gate's place where that is as wide, else in a tensor of its own."""
    gate = project(tape, size, source)
    product = gate if size == values else tape.take(values)
    tape.drop(output, *(() if product == gate else (gate,)))
    return product


def _queries(a: Attention, tape: Tape) -> tuple[int, int | None]:
    """Queries as attention reads them, and what their gate is half of, where they have one."""
    width = a.heads * a.head_dim
    if a.gated:
        both = tape.take(2 * width)
        query = tape.take(width)
        return (project(tape, width, query) if _turns(a, tape) else query), both
    query = tape.take(width)
    if _turned(a, tape):
        query = project(tape, width, query)
    return (project(tape, width, query) if _turns(a, tape) else query), None


def _turned(a: Attention, tape: Tape) -> bool:
    """Whether queries and keys are normed or rotated; the first of the two needs a tensor of its own."""
    return tape.rotates or a.qk_norm != "none"


def _turns(a: Attention, tape: Tape) -> bool:
    """Whether rows are turned to lose less when the cache rounds them: queries and keys, values and back."""
    return tape.quantized and a.head_dim % 64 == 0


def _keys_and_values(a: Attention, tape: Tape, source: int) -> None:
    """Both go to the cache: keys first where layers have caches with and without a window, else values."""
    if not a.owns_kv:
        tape.drop(source)
        return
    if a.k_is_v:
        key, value = _one_for_both(a, tape, source)
    elif tape.windowed:
        key = _key(a, tape, tape.keep(source))
        value = _value(a, tape, source)
    else:
        value = _value(a, tape, tape.keep(source))
        key = _key(a, tape, source)
    tape.drop(key)
    if tape.widest_value > _values(a):  # without flash attention all layers' values are as wide
        value = project(tape, tape.widest_value, value)
    tape.drop(value)


def _one_for_both(a: Attention, tape: Tape, source: int) -> tuple[int, int]:
    """Values are the keys, normed otherwise."""
    made = project(tape, _values(a), source)
    key, value = tape.take(_values(a)), tape.take(_values(a))
    tape.drop(made)
    return _turned_to_store(a, tape, key), _turned_to_store(a, tape, value)


def _key(a: Attention, tape: Tape, source: int) -> int:
    key = project(tape, a.kv_heads * a.head_dim, source)
    if _turned(a, tape):
        key = project(tape, a.kv_heads * a.head_dim, key)
    return project(tape, a.kv_heads * a.head_dim, key) if _turns(a, tape) else key


def _value(a: Attention, tape: Tape, source: int) -> int:
    value = project(tape, _values(a), source)
    if tape.norms_values:
        value = project(tape, _values(a), value)
    return _turned_to_store(a, tape, value)


def _turned_to_store(a: Attention, tape: Tape, rows: int) -> int:
    return project(tape, _values(a), rows) if _turns(a, tape) else rows


def _values(a: Attention) -> int:
    """Elements of a token's values."""
    return a.kv_heads * (a.value_dim or a.head_dim)


def _qkv_fused(a: Attention, tape: Tape, source: int) -> int:
    """Queries and keys are rotated out of the one tensor; values are stored from it, or turned first."""
    width, keys = a.heads * a.head_dim, a.kv_heads * a.head_dim
    values = a.kv_heads * (a.value_dim or a.head_dim)
    fused = project(tape, width + keys + values, source)
    query = tape.take(width)
    if not _turns(a, tape):
        tape.drop(tape.take(keys), fused)
        return query
    query = project(tape, width, query)
    value = project(tape, values, tape.take(values))
    key = tape.take(keys)
    tape.drop(fused)
    tape.drop(project(tape, keys, key), value)
    return query


def attend(tape: Tape, heads: int, values: int, window: int | None, query: int) -> int:
    """Scores of all heads, then their values; with flash attention the values alone."""
    if tape.flash:
        output = project(tape, values, query)
        tape.done_with_cache()
    else:
        scores = project(tape, 0, query, score=heads, window=window)
        tape.done_with_cache()
        output = project(tape, values, project(tape, values, scores))
    tape.expand()
    return output


def _block_sparse(a: Attention, i: Indexer, tape: Tape, hidden: int, source: int) -> int:
    """MiniMax M3's: a mask of whole blocks of cells for each KV head, spread out over their cells."""
    values = a.heads * (a.value_dim or a.head_dim)
    tape.drop(project(tape, i.head_dim, tape.take(i.head_dim)))
    query, _ = _queries(a, tape)
    _keys_and_values(a, tape, tape.keep(source))
    scored = project(tape, i.heads * i.head_dim, project(tape, i.heads * i.head_dim, source))
    tape.drop(tape.take(i.heads * _SCORED), scored)
    spread, turned = tape.take(score=a.kv_heads), tape.take(score=a.kv_heads)
    tape.drop(spread)
    if tape.lasting is None:
        tape.lasting = tape.take(score=1)  # the whole mask in F32
    mask = tape.take(score=a.kv_heads, width=2)
    tape.drop(turned)
    output = project(tape, values, query)
    tape.drop(mask)
    return project(tape, hidden, project(tape, values, output))


register(Attention, _stored, _run)
