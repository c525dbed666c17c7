"""How a compute buffer grows with the context.

The graph stays the same and its tensors grow evenly with the cells that they
look at, until a window is full; the allocator decides alike over long
stretches of contexts. So one replay answers for a whole stretch, to the byte.
"""

from collections import deque
from functools import cache
from operator import sub
from typing import NamedTuple

from fitcheck.footprint.arena import Reach, Size, aligned, reach
from fitcheck.footprint.graph import Graph
from fitcheck.footprint.kv_cache import CELL_PADDING, cells
from fitcheck.footprint.mechanisms import Cache

_KEPT = 64
"""Stretches to remember: few models have more than five."""


class Batch(NamedTuple):
    """A micro-batch, and the cells it can look at."""

    context: int
    slots: int
    ubatch: int
    unified: bool
    outputs: int | None  # tokens whose logits are wanted; all where it isn't said

    @property
    def full(self) -> int:
        """Tokens of it, before each slot gets as many."""
        return min(self.context, self.ubatch)

    @property
    def tokens(self) -> int:
        return -(-self.full // self.slots) * self.slots

    def cells(self, size: Size) -> int:
        """Of the cache it grows with, all slots together."""
        context, slots, ubatch, unified, _ = self
        seen = _looked_at(size.window, size.ratio)
        return sum([cells(one, context, slots, ubatch, unified) for one in seen])

    def bytes(self, size: Size) -> int:
        """Of a tensor of the graph."""
        if size.output:
            wanted = self.full if self.outputs is None else min(self.full, self.outputs)
            return size.width * wanted * size.output
        kept = self.cells(size) if size.score or size.cell else 0
        each = size.token + size.score * self.seen(size, kept)
        states = size.sequence * self.slots + size.spare * (self.slots - 1 if self.unified else 0)
        return size.width * (self.tokens * each + size.fixed + size.cell * kept + states)

    def seen(self, size: Size, kept: int) -> int:
        """Of the cells kept, those that a token is scored with."""
        seen = kept if self.unified else kept // self.slots
        return min(seen, size.most) if size.most else seen

    def cell_counts(self, sizes: tuple[Size, ...]) -> tuple[int, ...]:
        """All through which these sizes depend on the context. Cells come in 256s, so that alignment

        to 32 bytes adds the same to a size however many there are.
        """
        kept = [(size, self.cells(size)) for size in sizes]
        return (self.full, *(count for size, cells in kept for count in (cells, self.seen(size, cells))))


@cache
def _looked_at(window: int | None, ratio: int) -> tuple[Cache, ...]:
    """Caches whose cells a tensor has: compressed ones, those of a window beside them, or all."""
    compressed = (Cache(0, 0, ratio=ratio),) if ratio > 1 else ()
    return (*compressed, Cache(0, 0, window=window)) if window is not None or not compressed else compressed


class _Stretch(NamedTuple):
    """Counts over which a buffer grows evenly, from some of them in equal steps both ways."""

    counts: tuple[int, ...]
    rises: tuple[int, ...]  # of the counts, a step
    reach: Reach

    def at(self, counts: tuple[int, ...]) -> int | None:
        """The bytes with other counts; None where they lie outside."""
        off = [*zip(map(sub, counts, self.counts), self.rises, strict=True)]
        steps = next((more // rise for more, rise in off if rise), 0)
        if not self.reach.low <= steps <= self.reach.high or any(more != steps * rise for more, rise in off):
            return None
        return self.reach.top + steps * self.reach.rise


class Growth:
    """The bytes that a graph's moves reach, for batches that differ in their context alone."""

    def __init__(self, known: Graph, moves: tuple[tuple[int, int], ...]) -> None:
        self._known, self._moves = known, moves
        self._stretches: deque[_Stretch] = deque(maxlen=_KEPT)
        kinds = {(s.window, s.ratio, s.most): s for s in known.sizes if s.score or s.cell}
        self._growing = tuple(kinds.values())  # one size for each kind of cells that any looks at
        self._ratios = sorted({1, *(size.ratio for size in self._growing)})

    def bytes(self, batch: Batch) -> int:
        counts = batch.cell_counts(self._growing)
        for stretch in self._stretches:
            if (size := stretch.at(counts)) is not None:
                return size
        found = self._stretch(batch, counts)
        self._stretches.appendleft(found)
        return found.reach.top

    def _stretch(self, batch: Batch, counts: tuple[int, ...]) -> _Stretch:
        """Replay the graph, with sizes that grow as they would to the next context that has more cells."""
        further, rises = batch, (0,) * len(counts)
        for ratio in self._ratios:
            longer = batch._replace(context=batch.context + ratio * CELL_PADDING * batch.slots)
            if longer.full != batch.full:  # sizes are products of tokens and cells: both growing is not even
                break
            there = longer.cell_counts(self._growing)
            if there != counts:
                further, rises = longer, tuple(map(sub, there, counts))
                break
        sizes = [(aligned(batch.bytes(size)), aligned(further.bytes(size))) for size in self._known.sizes]
        rising = [(here, there - here) for here, there in sizes]
        return _Stretch(counts, rises, reach(self._moves, rising, self._known.tensors))
