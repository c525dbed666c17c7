"""Buffers of engines other than llama.cpp, from the counts that their profiles state.

A profile says how many rows of each width one moment keeps for every token of
a step; here they meet a model's widths. Rows with the same name are moments
that share their memory: the largest counts.
"""

from functools import lru_cache

from fitcheck.schema.engine import Buffer
from fitcheck.schema.model import Attention, Experts, FeedForward, LatentAttention, Model


def engine_buffers(model: Model, buffers: tuple[Buffer, ...], context: int, slots: int) -> dict[str, int]:
    """Bytes of each buffer by its name, in the profile's order."""
    found: dict[str, int] = {}
    for row in buffers:
        found[row.what] = max(found.get(row.what, 0), _bytes(model, row, context, slots))
    return found


def _bytes(model: Model, row: Buffer, context: int, slots: int) -> int:
    tokens = {"step": min(row.step or context, context), "slot": slots, "once": 1}[row.tokens]
    hidden = model.hidden_size
    elements = (
        row.hidden * hidden
        + row.ffn * _ffn(model)
        + row.queries * _heads(model)[0]
        + row.keys * _heads(model)[1]
        + row.vocab * model.vocab_size
        + row.ffn_matrix * _largest_ffn(model) * hidden
        + row.output_matrix * model.vocab_size * hidden
    )
    return min(int(tokens * elements * row.element_bytes), row.most_bytes or _NO_LIMIT) + row.fixed_bytes


_NO_LIMIT = 1 << 62


@lru_cache(maxsize=512)
def _ffn(model: Model) -> int:
    """The widest inner row that a token passes: of a dense block, or of all experts that it meets."""
    widths = (inner_size(part) for layer in model.layers for part in layer.ffns)
    return max(widths, default=0)


def inner_size(part: object) -> int:
    """Of a feed-forward block, or of all experts that a token meets."""
    if isinstance(part, Experts):
        return part.active * part.size + part.shared_size
    return part.size if isinstance(part, FeedForward) else 0


@lru_cache(maxsize=512)
def _largest_ffn(model: Model) -> int:
    """Rows of the largest single matrix of a feed-forward block."""
    parts = (part for layer in model.layers for part in layer.ffns)
    return max((part.size for part in parts if isinstance(part, FeedForward | Experts)), default=0)


@lru_cache(maxsize=512)
def _heads(model: Model) -> tuple[int, int]:
    """Elements of a token's queries, and of its keys, in the widest attention layer."""
    mixers = {layer.mixer for layer in model.layers}
    plain = [(m.heads * m.head_dim, m.kv_heads * m.head_dim) for m in mixers if isinstance(m, Attention)]
    latent = [
        (m.heads * (m.nope_head_dim + m.rope_head_dim), m.kv_lora_rank + m.rope_head_dim)
        for m in mixers
        if isinstance(m, LatentAttention)
    ]
    return max([*plain, *latent], default=(0, 0))
