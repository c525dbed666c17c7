"""Attention: mechanisms that keep something of every token."""

from fitcheck.footprint.mechanisms.parts import (
    Cache,
    Mechanism,
    Tensor,
    half,
    matrix,
    mechanism,
    small,
    stacked,
    unread,
)
from fitcheck.schema.model import Attention, CompressedAttention, Indexer, LatentAttention


@mechanism(Attention)
def _attention(a: Attention, hidden: int) -> Mechanism:
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
    tensors += _gate(a.gate_size, hidden)
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


def _gate(size: int, hidden: int) -> list[Tensor]:
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


def _token_indexer(i: Indexer, hidden: int, q_rank: int) -> tuple[Tensor, ...]:
    """DeepSeek V3.2's, which scores every token. Files straight from conversion keep proj in F32."""
    return (
        matrix("indexer.proj", "attention", hidden, i.heads),
        matrix("indexer.attn_k", "attention", hidden, i.head_dim),
        matrix("indexer.attn_q_b", "attention", q_rank, i.heads * i.head_dim),
        small("indexer.k_norm.weight", "norm", i.head_dim),
        small("indexer.k_norm.bias", "norm", i.head_dim),
    )


@mechanism(LatentAttention)
def _latent_attention(a: LatentAttention, hidden: int) -> Mechanism:
    """Keys and values share one compressed row a token; llama.cpp caches no values for it."""
    query = a.heads * (a.nope_head_dim + a.rope_head_dim)
    latent = a.kv_lora_rank + a.rope_head_dim
    tensors = [
        *_latent_queries(a, hidden, query),
        matrix("attn_kv_a_mqa", "attention", hidden, latent),
        small("attn_kv_a_norm.weight", "norm", a.kv_lora_rank),
        *_latent_heads(a),
        matrix("attn_output", "attention", a.heads * a.value_dim, hidden),
        *_gate(a.gate_size, hidden),
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


@mechanism(CompressedAttention)
def _compressed_attention(a: CompressedAttention, hidden: int) -> Mechanism:
    """A window of whole rows, then compressed ones; what compresses keeps a state a slot.

    llama-kv-cache-dsv4.cpp: slots never share these cells, values are the keys.
    """
    query = a.heads * a.head_dim
    shared = a.output_groups * a.output_lora_rank
    tensors = [
        matrix("attn_q_a", "attention", hidden, a.q_lora_rank),
        matrix("attn_q_b", "attention", a.q_lora_rank, query),
        matrix("attn_kv", "attention", hidden, a.head_dim),
        matrix("attn_output_a", "attention", query // a.output_groups, shared),
        matrix("attn_output_b", "attention", shared, hidden),
        small("attn_q_a_norm.weight", "norm", a.q_lora_rank),
        small("attn_kv_a_norm.weight", "norm", a.head_dim),
        small("attn_sinks.weight", "norm", a.heads),
    ]
    caches = [Cache(a.head_dim, 0, window=a.window, each_slot=True)]
    state = 0
    for name, width in _compressors(a).items():
        tensors += _compressor(name, width, a, hidden)
        caches.append(Cache(width, 0, ratio=a.ratio or 1, each_slot=True))
        state += _compressor_state(width, a)
    if a.indexer is not None:
        tensors.append(matrix("indexer.proj", "attention", hidden, a.indexer.heads))
        rows = a.indexer.heads * a.indexer.head_dim
        tensors.append(matrix("indexer.attn_q_b", "attention", a.q_lora_rank, rows))
    return Mechanism(tuple(tensors), tuple(caches), state)


def _compressors(a: CompressedAttention) -> dict[str, int]:
    """The layer's own and its indexer's, each with the width of the rows it makes."""
    if a.ratio is None:
        return {}
    own = {"attn_compressor": a.head_dim}
    return own if a.indexer is None else own | {"indexer_compressor": a.indexer.head_dim}


def _compressor(name: str, width: int, a: CompressedAttention, hidden: int) -> tuple[Tensor, ...]:
    blocks = 2 if a.overlap else 1
    return (
        matrix(name + "_kv", "attention", hidden, blocks * width),
        matrix(name + "_gate", "attention", hidden, blocks * width),
        matrix(name + "_ape", "attention", blocks * width, a.ratio or 1),
        small(name + "_norm.weight", "norm", width),
    )


def _compressor_state(width: int, a: CompressedAttention) -> int:
    """Rows and scores of the tokens that aren't compressed yet."""
    blocks = 2 if a.overlap else 1
    return 2 * (blocks * width) * (blocks * (a.ratio or 1))
