"""A model split within its matrices: every card holds a part of each, and all work at once.

The rules are those of vLLM (vllm/model_executor/layers: linear.py,
vocab_parallel_embedding.py; vllm/config): a card has its heads of attention and
of recurrent mixers, its rows of feed-forward blocks and of every expert, and
its part of the vocabulary, padded to 64. KV heads that are fewer than the cards
lie on several of them. Norms, routers and what makes latent rows lie on all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from fitcheck.footprint.assignment import assign
from fitcheck.footprint.formats import tensor_bytes
from fitcheck.footprint.kv_cache import cells, find_kv_type, part_of
from fitcheck.footprint.memory import Choices
from fitcheck.footprint.reads import ReadGroup, Reads
from fitcheck.footprint.residence import Workspace, host_items, working_items
from fitcheck.footprint.tensors import TensorGroup, layout
from fitcheck.schema.model import (
    Attention,
    CompressedAttention,
    Experts,
    FeedForward,
    GatedDeltaNet,
    KimiDelta,
    LatentAttention,
    Mamba2,
    Model,
)
from fitcheck.schema.plan import RAM, MemoryItem
from fitcheck.schema.weights import FileWeights

_VOCABULARY_PADDING = 64  # DEFAULT_VOCAB_PADDING_SIZE

# Matrices that every card holds whole: what they make is shared by all heads or experts.
_WHOLE = ("attn_q_a", "attn_kv_a_mqa", "attn_kv", "ffn_latent", "indexer", "attn_compressor")


class Share(NamedTuple):
    """A part of a tensor: so many of equal pieces."""

    pieces: int
    of: int

    def __call__(self, size: int) -> int:
        """What it is of so much, rounded up."""
        return -(-size * self.pieces // self.of)


_ALL = Share(1, 1)


class Shard(NamedTuple):
    """What one of some equal cards holds of a format's weights, and what a token reads of them."""

    cards: int
    weights_bytes: int
    groups: tuple[ReadGroup, ...]


def most_cards(model: Model, present: int) -> int:
    """The most of the present cards over which the model can be split."""
    return next(cards for cards in range(present, 0, -1) if indivisible(model, cards) is None)


@lru_cache(maxsize=4096)
def indivisible(model: Model, cards: int) -> str | None:
    """What of a model can't be split over so many cards; None where everything can."""
    if cards == 1:
        return None
    for count, what in _counts(model):
        few = what == "KV heads" and cards % count == 0
        if count % cards and not few:
            return f"{count} {what}"
    return None


def _counts(model: Model) -> Iterator[tuple[int, str]]:
    """What is dealt out to the cards, one kind of layer after the other."""
    yield _padded(model.vocab_size), "rows of the vocabulary"
    for layer in dict.fromkeys(model.layers):
        for part in (layer.mixer, layer.beside, *layer.ffns):
            yield from _dealt(part)


def _dealt(part: object) -> Iterator[tuple[int, str]]:
    if isinstance(part, Attention | LatentAttention | CompressedAttention):
        yield part.heads, "attention heads"
    if isinstance(part, Attention):
        yield part.kv_heads, "KV heads"
    if isinstance(part, GatedDeltaNet):
        yield part.key_heads, "key heads"
        yield part.value_heads, "value heads"
    if isinstance(part, KimiDelta | Mamba2):
        yield part.heads, "heads"
    if isinstance(part, FeedForward | Experts):
        yield part.size, "feed-forward rows"
    if isinstance(part, Experts) and part.shared_size:
        yield part.shared_size, "rows of the shared expert"


@lru_cache(maxsize=4096)
def shard_of(model: Model, format_name: str, cards: int) -> Shard:
    """One card's part of a format worked out from the shape. Raises UnknownName."""
    held, read = 0, Reads()
    for typed in assign(model, format_name):
        share, tensor = _share(model, typed.group, cards), typed.group.tensor
        tensors = 0 if typed.group.unused else typed.tensors
        held += share(typed.bytes)
        chosen = 1 < tensor.stack != tensor.stack_read
        products = tensor.stack_read * tensors if tensor.rows_read > 1 else 0
        multiplied = share(tensor.weights_read * tensors)
        size = share(typed.bytes_read)
        read.add(typed.type, size, multiplied, products, size if chosen else 0)
    return Shard(cards, held, read.groups)


def shard_of_file(weights: FileWeights, cards: int) -> Shard:
    """One card's part of a real file, of which only norms are known to lie on every card whole."""
    held, read = 0, Reads()
    for group in weights.groups:
        parts = 1 if group.part == "norm" else cards
        held += -(-group.bytes // parts)
        chosen = group.part == "experts" and group.bytes_read < group.bytes
        products = group.tensors if group.part not in ("embedding", "norm", "prediction") else 0
        size, multiplied = -(-group.bytes_read // parts), -(-group.weights_read // parts)
        read.add(group.type, size, multiplied, products, size if chosen else 0)
    return Shard(cards, held, read.groups)


def _share(model: Model, group: TensorGroup, cards: int) -> Share:
    """The part of such a tensor that one card holds."""
    tensor = group.tensor
    if cards == 1 or tensor.keep is not None or tensor.name.startswith(_WHOLE):
        return _ALL
    if tensor.part in ("embedding", "output"):
        return Share(_padded(model.vocab_size), model.vocab_size * cards)
    heads = _kv_heads(model, group) if tensor.part == "attention" else None
    if heads is None:
        return Share(1, cards)
    own = -(-heads.kv_heads // cards)
    if tensor.name.startswith(("attn_k.", "attn_v.")):
        return Share(own, heads.kv_heads)
    if not tensor.name.startswith("attn_qkv."):
        return Share(1, cards)
    each = heads.head_dim + (heads.value_dim or heads.head_dim)
    queries = tensor.rows - heads.kv_heads * each
    return Share(queries // cards + own * each, tensor.rows)


def _kv_heads(model: Model, group: TensorGroup) -> Attention | None:
    """The grouped-query attention that a layer's tensor belongs to; prediction layers have the last one's."""
    mixers = [layer.mixer for layer in model.layers]
    mixers += [layer.beside for layer in model.layers if layer.beside]
    first = group.layers[0] if group.layers else len(mixers)
    here = mixers[first : first + 1] if first < len(model.layers) else ()
    known = (mixer for mixer in (*here, *reversed(mixers)) if isinstance(mixer, Attention))
    return next(known, None)


def _padded(rows: int) -> int:
    return -(-rows // _VOCABULARY_PADDING) * _VOCABULARY_PADDING


@dataclass(frozen=True)
class Sharded:
    """A model over equal cards with one context; all hold as much. Buffers are counted whole on each."""

    model: Model
    shard: Shard
    context: int
    choices: Choices

    @property
    def ram_bytes(self) -> int:
        """What the host keeps beside them."""
        return self._work.fixed + self._work.host

    @cached_property
    def card_bytes(self) -> int:
        return self.shard.weights_bytes + self._cache + self._state + self._buffer

    def items(self, names: tuple[str, ...]) -> tuple[MemoryItem, ...]:
        """Every item, device by device; ``names`` are those of the cards."""
        found = list(host_items(self.model, self.choices.slots))
        found += working_items(RAM, 0, 0, self._work.host)
        for name in names[: self.shard.cards]:
            found.append(MemoryItem("weights", name, self.shard.weights_bytes, "anonymous", resident=True))
            found += working_items(name, self._cache, self._state, self._buffer)
        return tuple(item for item in found if item.bytes)

    @cached_property
    def _work(self) -> Workspace:
        return Workspace(self.model, self.context, self.choices)

    @cached_property
    def _buffer(self) -> int:
        return self._work.cards.whole

    @cached_property
    def _cache(self) -> int:
        kind, (_, slots, ubatch, *_) = find_kv_type(self.choices.kv_type), self.choices
        total = 0
        for whole, layers in layout(self.model).caches:
            cache = part_of(whole, self.shard.cards)
            rows = layers * cells(cache, self.context, slots, ubatch) if cache.owned else 0
            total += tensor_bytes(kind, cache.key, rows) + tensor_bytes(kind, cache.value, rows)
        return total

    @cached_property
    def _state(self) -> int:
        return 4 * self.choices.slots * -(-layout(self.model).state_elements // self.shard.cards)
