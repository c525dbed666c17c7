"""How a compute buffer grows with the context.

The graph stays the same and its tensors grow evenly with the cells that they
look at, until a window is full; the allocator decides alike over long
stretches of contexts. So one replay answers for a whole stretch, to the byte.
"""

from collections import deque
from collections.abc import Sequence
from functools import cache
from operator import mul
from typing import NamedTuple

from fitcheck.footprint.arena import Size
from fitcheck.footprint.graph import Graph
from fitcheck.footprint.kv_cache import CELL_PADDING, cells
from fitcheck.footprint.mechanisms import Cache
from fitcheck.footprint.reach import Reach, Rises, aligned, reach

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

    def kept(self, one: Cache) -> int:
        """Cells of one of the caches that tensors grow with."""
        return cells(one, self.context, self.slots, self.ubatch, self.unified)

    def step(self, one: Cache) -> int:
        """The cells that come at once to such a cache, each slot's; 0 where no longer context brings any.

        Cells come in 256s, so that alignment to 32 bytes adds the same to a size however many there are.
        """
        longer = self._replace(context=self.context + one.ratio * CELL_PADDING * self.slots)
        return longer.kept(one) - self.kept(one)

    def rises(self, size: Size, caches: Sequence[Cache]) -> Rises:
        """Bytes of a tensor that a step of each of these caches adds."""
        if not (size.score or size.cell):
            return (0,) * len(caches)
        seen = _looked_at(size.window, size.ratio)
        return tuple([self._rise(size, one) if one in seen else 0 for one in caches])

    def _rise(self, size: Size, one: Cache) -> int:
        more, clipped = self.step(one), self.clips(size)
        scored = 0 if clipped else more if self.unified else more // self.slots
        return size.width * (self.tokens * size.score * scored + size.cell * more)

    def clips(self, size: Size) -> bool:
        """Whether a token is scored with fewer cells of a slot than there are."""
        kept = self.cells(size)
        return self.seen(size, kept) < (kept if self.unified else kept // self.slots)


@cache
def _looked_at(window: int | None, ratio: int) -> tuple[Cache, ...]:
    """Caches whose cells a tensor has: compressed ones, those of a window beside them, or all."""
    compressed = (Cache(0, 0, ratio=ratio),) if ratio > 1 else ()
    return (*compressed, Cache(0, 0, window=window)) if window is not None or not compressed else compressed


class _Stretch(NamedTuple):
    """Cells over which a buffer grows evenly, from some of them in steps each way."""

    alike: tuple[int, ...]  # all else through which sizes depend on the context
    cells: tuple[int, ...]
    steps: tuple[int, ...]
    reach: Reach

    def at(self, alike: tuple[int, ...], cells: tuple[int, ...]) -> int | None:
        """The bytes with other cells; None where they lie outside."""
        if alike != self.alike:
            return None
        over = [here - there for here, there in zip(cells, self.cells, strict=True)]
        if any(more % step if step else more for more, step in zip(over, self.steps, strict=True)):
            return None
        taken = [more // step for more, step in zip(over, self.steps, strict=True) if step]
        if any(spare + _sum(rises, taken) < 0 for spare, rises in self.reach.bounds):
            return None
        return self.reach.top + _sum(self.reach.rises, taken)


def _sum(rises: Rises, steps: list[int]) -> int:
    return sum(map(mul, rises, steps))


class Growth:
    """The bytes that a graph's moves reach, for batches that differ in their context alone."""

    def __init__(self, known: Graph, moves: tuple[tuple[int, int], ...]) -> None:
        self._known, self._moves = known, moves
        self._stretches: deque[_Stretch] = deque(maxlen=_KEPT)
        growing = [size for size in known.sizes if size.score or size.cell]
        seen = {(size.window, size.ratio): _looked_at(size.window, size.ratio) for size in growing}
        self._caches = tuple(dict.fromkeys(one for caches in seen.values() for one in caches))
        clipped = {(size.window, size.ratio, size.most): size for size in growing if size.most}
        self._clipped = tuple(clipped.values())

    def bytes(self, batch: Batch) -> int:
        alike = (batch.full, *map(batch.clips, self._clipped))
        cells = tuple(map(batch.kept, self._caches))
        for stretch in self._stretches:
            if (size := stretch.at(alike, cells)) is not None:
                return size
        found = self._stretch(batch, alike, cells)
        self._stretches.appendleft(found)
        return found.reach.top

    def _stretch(self, batch: Batch, alike: tuple[int, ...], cells: tuple[int, ...]) -> _Stretch:
        """Replay the graph, with sizes that grow as each cache does."""
        steps = tuple(map(batch.step, self._caches))
        ways = [one for one, step in zip(self._caches, steps, strict=True) if step]
        sizes = [(aligned(batch.bytes(size)), batch.rises(size, ways)) for size in self._known.sizes]
        return _Stretch(alike, cells, steps, reach(self._moves, sizes, self._known.tensors))
