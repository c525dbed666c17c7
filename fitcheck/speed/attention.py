"""Attention: what one decoded token asks of the cache, and of the cores."""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import NamedTuple

from fitcheck.footprint.formats import tensor_bytes
from fitcheck.footprint.kv_cache import find_kv_type
from fitcheck.footprint.tensors import kinds_of
from fitcheck.schema.engine import AttentionRate
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


def _seen(mixer: object, depth: int) -> int:
    window = mixer.window if isinstance(mixer, Attention | CompressedAttention) else None
    seen = depth if window is None else min(depth, window)
    if isinstance(mixer, CompressedAttention) and mixer.ratio:
        seen += depth // mixer.ratio
    return seen


class Heads(NamedTuple):
    """A layer's query heads, the heads of its cache, and the elements of a key and of a value."""

    queries: int
    cached: int
    key: int
    value: int

    @property
    def products(self) -> int:
        """Of a score: the query with a key, and the score with a value."""
        return self.key + self.value


def _heads(mixer: object) -> Heads | None:
    """None for what has no attention."""
    if isinstance(mixer, Attention):
        return Heads(mixer.heads, mixer.kv_heads, mixer.head_dim, mixer.value_dim or mixer.head_dim)
    if isinstance(mixer, CompressedAttention):
        return Heads(mixer.heads, 1, mixer.head_dim, mixer.head_dim)
    if isinstance(mixer, LatentAttention) and mixer.expanded:
        return Heads(mixer.heads, mixer.heads, mixer.nope_head_dim + mixer.rope_head_dim, mixer.value_dim)
    if isinstance(mixer, LatentAttention):  # the compressed row is both key and value
        return Heads(mixer.heads, 1, mixer.kv_lora_rank + mixer.rope_head_dim, mixer.kv_lora_rank)
    return None


def _width(mixer: object) -> int:
    """Products with one cell: every query head meets its group's key and value."""
    heads = _heads(mixer)
    return heads.queries * heads.products if heads else 0


@dataclass(frozen=True, slots=True, eq=False)
class Attending:
    """An engine's attention on so many cores, each ``speed`` times as fast as the one it was measured on.

    Each is itself alone: a device has one, by which what it takes is found again.
    """

    rate: AttentionRate
    padding: int
    kv_type: str
    cores: int = 1
    speed: float = 1.0


@lru_cache(maxsize=512)
def attention_s(model: Model, depth: int, by: Attending, layers: range | None = None) -> float:
    """Seconds in which all cores attend for one token, of these layers or all, however fast memory is.

    A windowed layer sees no further than its window.
    """
    walk = Walk(by.padding, by.rate.skips_masked, by.rate.shares_cells_from, by.cores)
    kinds, order = kinds_of(model)
    total = 0.0
    for kind, count in Counter(order if layers is None else order[layers.start : layers.stop]).items():
        for mixer in (kinds[kind].mixer, kinds[kind].beside):
            if heads := _heads(mixer):
                total += count * walk.cells(_seen(mixer, depth)) * cell_s(heads, by)
    return total / by.cores


@lru_cache(maxsize=1024)
def cell_s(heads: Heads, by: Attending) -> float:
    """Seconds of one core for all heads' scores with one cell, and for what they are good for."""
    alone = heads.queries * _score_s(heads, by.rate) / by.speed + heads.cached * _wait_s(heads, by)
    if by.cores == 1:
        return alone
    turns = ceil(heads.queries / _BLOCK) * by.rate.turn_s
    return alone + min(turns, alone)  # two cores are never slower than one


_BLOCK = 16  # query heads


def _score_s(heads: Heads, rate: AttentionRate) -> float:
    """Of one score; elements over whole steps of the loop go one by one."""
    over = heads.key % rate.step + (heads.value % rate.step if rate.flash_attention else 0)
    return rate.score_s + heads.products / rate.products_per_s + over * rate.rest_s


def _wait_s(heads: Heads, by: Attending) -> float:
    """Until one key and one value come, where no arithmetic hides it. A lone head's rows touch."""
    kind, rate = find_kv_type(by.kv_type), by.rate
    row, value = (tensor_bytes(kind, heads.cached * width, 1) for width in (heads.key, heads.value))
    reading = (row + value) / heads.cached / rate.cache_bytes_per_s if rate.cache_bytes_per_s else 0.0
    steps = heads.key // rate.step
    met = [stall for stall in rate.stalls if steps >= stall.steps]
    stalled = max(met, key=lambda stall: stall.steps, default=None)
    if stalled is None or heads.cached == 1 or row < stalled.row_bytes:
        return reading
    return reading + stalled.seconds


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
