"""Attention over compressed rows, and over cells that an indexer chooses: what is stored, and how it runs."""

from fitcheck.footprint.arena import Tape
from fitcheck.footprint.mechanisms.attention import attend, gated, output_gate
from fitcheck.footprint.mechanisms.parts import (
    Cache,
    Mechanism,
    Tensor,
    matrix,
    project,
    register,
    small,
    stacked,
)
from fitcheck.schema.model import Indexer, LatentAttention

CHOSEN = 2048
"""Cells that DeepSeek's and GLM's indexers choose: indexer.top_k of their files."""


def _stored(a: LatentAttention, hidden: int) -> Mechanism:
    """Keys and values share one compressed row a token; llama.cpp caches no values for it."""
    query = a.heads * (a.nope_head_dim + a.rope_head_dim)
    latent = a.kv_lora_rank + a.rope_head_dim
    tensors = [
        *_latent_queries(a, hidden, query),
        matrix("attn_kv_a_mqa", "attention", hidden, latent),
        small("attn_kv_a_norm.weight", "norm", a.kv_lora_rank),
        *_latent_heads(a),
        matrix("attn_output", "attention", a.heads * a.value_dim, hidden),
        *output_gate(a.gate_size, hidden),
    ]
    caches = [Cache(query, a.heads * a.value_dim, a.heads) if a.expanded else Cache(latent, 0)]
    if a.indexer is not None:
        tensors += _token_indexer(a.indexer, hidden, a.q_lora_rank or hidden)
        caches.append(Cache(a.indexer.head_dim, 0))
    return Mechanism(tuple(tensors), tuple(caches))


def _latent_queries(a: LatentAttention, hidden: int, query: int) -> list[Tensor]:
    if a.q_lora_rank is None:
        return [matrix("attn_q", "attention", hidden, query)]
    return [
        matrix("attn_q_a", "attention", hidden, a.q_lora_rank),
        matrix("attn_q_b", "attention", a.q_lora_rank, query),
        small("attn_q_a_norm.weight", "norm", a.q_lora_rank),
    ]


def _latent_heads(a: LatentAttention) -> list[Tensor]:
    """From the compressed row to each head's key and value, in one matrix or in two stacks."""
    if a.expanded:
        rows = a.heads * (a.nope_head_dim + a.value_dim)
        return [matrix("attn_kv_b", "attention", a.kv_lora_rank, rows)]
    return [
        stacked("attn_k_b", "attention", a.nope_head_dim, a.kv_lora_rank, stack=a.heads, read=a.heads),
        stacked("attn_v_b", "attention", a.kv_lora_rank, a.value_dim, stack=a.heads, read=a.heads),
    ]


def _token_indexer(i: Indexer, hidden: int, q_rank: int) -> tuple[Tensor, ...]:
    """DeepSeek V3.2's, which scores every token. Files straight from conversion keep proj in F32."""
    return (
        matrix("indexer.proj", "attention", hidden, i.heads),
        matrix("indexer.attn_k", "attention", hidden, i.head_dim),
        matrix("indexer.attn_q_b", "attention", q_rank, i.heads * i.head_dim),
        small("indexer.k_norm.weight", "norm", i.head_dim),
        small("indexer.k_norm.bias", "norm", i.head_dim),
    )


def _run(a: LatentAttention, tape: Tape, hidden: int, source: int) -> int:
    if a.expanded:
        return _expanded(a, tape, hidden, source)
    if a.gate_size:
        tape.keep(source)
    if a.indexer is not None:
        _index_key(a.indexer, tape, tape.keep(source))
        tape.keep(source)  # for the weights of its scores
    low = tape.keep(source) if a.q_lora_rank is None else tape.take(a.q_lora_rank)
    query = _absorbed(a, tape, low if a.indexer is None else tape.keep(low))
    _latent_key(a, tape, source)
    output = _latent_attend(a, tape, query, low, source)
    output = project(tape, a.heads * a.value_dim, project(tape, a.heads * a.value_dim, output))
    if a.gate_size:
        output = gated(a.gate_size, tape, a.gate_size, output, source)
    return project(tape, hidden, output)


def _absorbed(a: LatentAttention, tape: Tape, low: int) -> int:
    """Queries against the compressed rows, then what is rotated behind them."""
    rotated = project(tape, a.heads * (a.nope_head_dim + a.rope_head_dim), low)
    absorbed = tape.take(a.heads * a.kv_lora_rank)
    if tape.rotates:
        rotated = project(tape, a.heads * a.rope_head_dim, rotated)
    query = tape.take(a.heads * (a.kv_lora_rank + a.rope_head_dim))
    tape.drop(absorbed, rotated)
    return query


def _latent_key(a: LatentAttention, tape: Tape, source: int) -> None:
    compressed = project(tape, a.kv_lora_rank + a.rope_head_dim, source)
    key = tape.take(a.kv_lora_rank)
    rotated = project(tape, a.rope_head_dim, compressed) if tape.rotates else compressed
    row = tape.take(a.kv_lora_rank + a.rope_head_dim)
    tape.drop(key, rotated, row)


def _latent_attend(a: LatentAttention, tape: Tape, query: int, low: int, source: int) -> int:
    """Without flash attention the compressed rows are copied to be read as values."""
    read = [query]
    if not tape.flash:
        read = [tape.take(cell=a.kv_lora_rank, width=2), tape.take(score=a.heads)]
        tape.drop(query)
    chosen = None
    if a.indexer is not None:
        chosen = chosen_cells(a.indexer, tape, low, source)
    elif tape.chosen is not None:
        chosen = tape.keep(tape.chosen)
    if chosen is not None:
        mask = masked(tape, 1, chosen, tape.given.pop() if tape.given else None)
        if tape.flash:
            read.append(mask)
        else:
            tape.drop(mask)
    output = tape.take(a.heads * a.kv_lora_rank)
    tape.drop(*read)
    tape.done_with_cache()
    tape.expand()
    return output


def _expanded(a: LatentAttention, tape: Tape, hidden: int, source: int) -> int:
    """Keys and values of all heads, as the cache holds them (MiniCPM3)."""
    keys, values = a.heads * (a.nope_head_dim + a.rope_head_dim), a.heads * a.value_dim
    low = tape.keep(source) if a.q_lora_rank is None else tape.take(a.q_lora_rank)
    query = project(tape, keys, project(tape, keys, low))
    compressed = project(tape, a.kv_lora_rank + a.rope_head_dim, source)
    both = project(tape, a.heads * (a.nope_head_dim + a.value_dim), tape.take(a.kv_lora_rank))
    value = tape.take(values)
    repeated = project(tape, a.heads * a.rope_head_dim, project(tape, a.rope_head_dim, compressed))
    key = tape.take(keys)
    tape.drop(both, repeated)
    if tape.quantized and a.value_dim % 64 == 0:
        value = project(tape, values, value)
    tape.drop(key, value)
    output = attend(tape, a.heads, values, None, query)
    if tape.quantized and a.value_dim % 64 == 0:
        output = project(tape, values, output)
    return project(tape, hidden, output)


def _index_key(i: Indexer, tape: Tape, source: int) -> None:
    """The indexer's key: normed, rotated by its position, and turned."""
    key = project(tape, i.head_dim, source)
    for _ in ("norm", "position", "turn"):
        key = project(tape, i.head_dim, key)
    tape.drop(key)


def masked(tape: Tape, ratio: int, chosen: int, whole: int | None = None) -> int:
    """The mask of the chosen cells: zeros, from a tensor laid out at the start, scattered over a full one.

    ``whole`` masks all cells, and is taken over by the last layer that reads it.
    """
    width = 2 if tape.flash else 4
    spread = tape.take(score=1, ratio=ratio, width=width)
    tape.drop(tape.blanks.pop(0), chosen)
    if whole is not None and tape.last_use(whole):
        tape.drop(spread)
        return whole
    mask = tape.take(score=1, ratio=ratio, width=width)
    tape.drop(spread, *(() if whole is None else (whole,)))
    return mask


def chosen_cells(i: Indexer, tape: Tape, low: int, source: int, ratio: int = 1) -> int:
    """The numbers of the cells an indexer chooses. Layers after it may share them."""
    query = project(tape, i.heads * i.head_dim, low)
    for _ in ("position", "turn"):
        query = project(tape, i.heads * i.head_dim, query)
    weights = project(tape, i.heads, source)
    if ratio == 1:  # DeepSeek V4 scales them where they lie
        weights = project(tape, i.heads, weights)
    scores = tape.take(score=1, ratio=ratio)
    tape.drop(query, weights)
    chosen = _best(tape, ratio, _best(tape, ratio, scores))
    if tape.shares:
        if tape.chosen is not None:
            tape.drop(tape.chosen)
        tape.chosen = tape.keep(chosen)
    return chosen


def _best(tape: Tape, ratio: int, source: int) -> int:
    """The best cells, sorted out of all or of a few."""
    result = tape.take(score=1, ratio=ratio, most=CHOSEN)
    tape.drop(source)
    return result


register(LatentAttention, _stored, _run)
