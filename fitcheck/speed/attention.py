"""Attention: what one decoded token asks of the cache."""

from collections import Counter
from functools import lru_cache
from math import ceil
from typing import NamedTuple

from fitcheck.footprint.tensors import kinds_of
from fitcheck.schema.model import Attention, CompressedAttention, LatentAttention, Model


class Walk(NamedTuple):
    """How an engine goes through the cells of a layer; see ``AttentionRate``."""

    padding: int = 1  # cells come in whole multiples of it
    skips_masked: bool = False
    shares_cells_from: int | None = None
    cores: int = 1

    def cells(self, seen: int) -> int:
        """Cells that all cores together take the time of, where ``seen`` tokens are in the cache."""
        met = seen + (self.padding > 1)  # the token's own cell is there before it attends
        padded = self.padding * ceil(met / self.padding)
        if not self.skips_masked:
            return padded
        if self.shares_cells_from is None or padded < self.shares_cells_from:
            return met
        return min(met * self.cores, padded)


PLAIN = Walk()


@lru_cache(maxsize=4096)
def products(model: Model, depth: int, walk: Walk = PLAIN, layers: range | None = None) -> int:
    """Multiplications of queries with keys, and of scores with values, for one token, of these layers or all.

    A windowed layer sees no further than its window.
    """
    kinds, order = kinds_of(model)
    asked = Counter(order if layers is None else order[layers.start : layers.stop])
    return sum(
        count * walk.cells(_seen(mixer, depth)) * _width(mixer)
        for kind, count in asked.items()
        for mixer in (kinds[kind].mixer, kinds[kind].beside)
    )


def _seen(mixer: object, depth: int) -> int:
    window = mixer.window if isinstance(mixer, Attention | CompressedAttention) else None
    seen = depth if window is None else min(depth, window)
    if isinstance(mixer, CompressedAttention) and mixer.ratio:
        seen += depth // mixer.ratio
    return seen


def _width(mixer: object) -> int:
    """Products with one cell: every query head meets its group's key and value."""
    if isinstance(mixer, Attention):
        return mixer.heads * (mixer.head_dim + (mixer.value_dim or mixer.head_dim))
    if isinstance(mixer, CompressedAttention):
        return mixer.heads * 2 * mixer.head_dim
    if isinstance(mixer, LatentAttention) and mixer.expanded:
        return mixer.heads * (mixer.nope_head_dim + mixer.rope_head_dim + mixer.value_dim)
    if isinstance(mixer, LatentAttention):  # the compressed row is both key and value
        return mixer.heads * (2 * mixer.kv_lora_rank + mixer.rope_head_dim)
    return 0


@lru_cache(maxsize=4096)
def prompt_products(model: Model, depth: int, tokens: int, ubatch: int, padding: int = 1) -> int:
    """Multiplications of all tokens of a prompt with the cells they meet, ``depth`` of them there before.

    A micro-batch attends to all cells filled by its end, masked ones too, so
    that the mean token meets half of the prompt and half of its own batch.
    """
    met = depth + (tokens + min(tokens, ubatch)) // 2
    kinds, order = kinds_of(model)
    mixers = ((kinds[kind].mixer, count) for kind, count in Counter(order).items())
    return tokens * sum(
        count * _prompt_cells(mixer, met, ubatch, padding) * _width(mixer) for mixer, count in mixers
    )


def _prompt_cells(mixer: object, met: int, ubatch: int, padding: int) -> int:
    """Cells a token of a micro-batch meets; a window moves on only between micro-batches."""
    window = mixer.window if isinstance(mixer, Attention) else None
    seen = met if window is None else min(met, window + ubatch)
    return padding * ceil(seen / padding)
