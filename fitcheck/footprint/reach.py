"""The buffer llama.cpp computes in: ggml's allocator over tensors that live and die in a fixed order.

Rules from ggml/src/ggml-alloc.c of b11434: a tensor takes the smallest hole it
fits into, the later of equal ones, else the end of the buffer; a freed tensor
merges with the holes beside it; offsets are multiples of 32 bytes. What the
buffer needs is the furthest byte ever taken, holes and all, so the order
matters and no sum over living tensors says it.

Places are chosen by comparing lengths. Where sizes grow evenly, so do all
lengths, and as long as every comparison comes out as it did all places are the
same: one replay answers for all such sizes.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from math import gcd
from typing import NamedTuple

ALIGNMENT = 32
_ENDLESS = 1 << 62

Rises = tuple[int, ...]
"""Of a length, what a step each way adds to it."""

Moves = Sequence[tuple[int, int]]
"""A tensor and the number of its size, or -1 where it is given back: what a Tape records."""

# A length and its rises lie in one integer, the length in its highest digits: sums and
# differences of all of them are one operation, and none is ever as large as half a digit.
_DIGIT = 1 << 64


class Reach(NamedTuple):
    """``top + t . rises`` bytes, where sizes grow by their own rises for each step of a vector t.

    So it is as long as no bound falls below 0: each is a number, and what a step each way adds to it.
    """

    top: int
    rises: Rises
    bounds: tuple[tuple[int, Rises], ...]


def furthest(moves: Moves, sizes: Sequence[int], tensors: int) -> int:
    """The furthest byte that the moves take, given the bytes of each size."""
    return reach(moves, [(aligned(size), ()) for size in sizes], tensors).top


def aligned(size: int) -> int:
    """What a tensor of so many bytes takes."""
    return -(-max(size, 1) // ALIGNMENT) * ALIGNMENT


def reach(moves: Moves, sizes: Sequence[tuple[int, Rises]], tensors: int) -> Reach:
    """The furthest byte as sizes grow: each is given with its rises, as many as all others have."""
    ways = len(sizes[0][1])
    holes, places = _Holes(ways), [(0, 0)] * tensors
    packed = [_packed(size, rises) for size, rises in sizes]
    take, give = holes.take, holes.give
    for tensor, number in moves:
        if number < 0:
            give(*places[tensor])
        else:
            places[tensor] = take(packed[number])
    return Reach(*_unpacked(holes.top, ways), tuple(_bounds(holes.compared, ways)))


def _packed(length: int, rises: Rises) -> int:
    for rise in rises:
        length = length * _DIGIT + rise
    return length


def _unpacked(packed: int, ways: int) -> tuple[int, Rises]:
    rises = []
    for _ in range(ways):
        rise = (packed + _DIGIT // 2) % _DIGIT - _DIGIT // 2
        packed = (packed - rise) // _DIGIT
        rises.append(rise)
    return packed, tuple(reversed(rises))


class _Holes:
    """Where tensors may lie. All places and lengths are packed with their rises."""

    def __init__(self, ways: int) -> None:
        one = _packed(1, (0,) * ways)
        self._rising = one - 1  # the digits of the rises
        self._below, self._above = -(one // 2), (one + 1) // 2  # what is less than 0, and what is 1 or more
        self._starts, self._lengths = [0], [_ENDLESS * one]  # by address; the last is the end of the buffer
        self.top = 0
        self.compared: set[int] = set()  # differences that rise: how they came out must stay

    def take(self, size: int) -> tuple[int, int]:
        """The place and the length of a tensor: of the hole that it fills, or its own at a hole's start."""
        hole = self._hole(size)
        start, length = self._starts[hole], self._lengths[hole]
        if length - size < self._above:
            del self._starts[hole], self._lengths[hole]
            return start, length
        self._starts[hole] = end = start + size
        self._lengths[hole] = length - size
        if hole == len(self._starts) - 1:
            self._extend(end)
        return start, size

    def _extend(self, end: int) -> None:
        over = self.top - end
        if over & self._rising:
            self.compared.add(over)
        if over < self._below:
            self.top = end

    def _hole(self, size: int) -> int:
        """The smallest hole that is large enough, the later of equal ones."""
        lengths, rising, below, compared = self._lengths, self._rising, self._below, self.compared
        found = last = len(lengths) - 1
        smallest = lengths[last]
        for hole in range(last):
            length = lengths[hole]
            over = length - size
            if over & rising:
                compared.add(over)
            if over < below:
                continue
            over = smallest - length
            if over & rising and found != last:
                compared.add(over)
            if over >= below:
                found, smallest = hole, length
        if found != last and (size - smallest) & rising:  # filled or not, it stays so
            compared.add(size - smallest)
        return found

    def give(self, start: int, length: int) -> None:
        """A hole more, or a neighbour grown. Neighbours are so whatever the sizes."""
        starts, lengths = self._starts, self._lengths
        place = bisect_left(starts, start)
        before = place - 1
        if starts[place] == start + length:
            starts[place] = start
            length = lengths[place] = lengths[place] + length
            if place and starts[before] + lengths[before] == start:
                lengths[before] += length
                del starts[place], lengths[place]
        elif place and starts[before] + lengths[before] == start:
            lengths[before] += length
        else:
            starts.insert(place, start)
            lengths.insert(place, length)


def _bounds(compared: Iterable[int], ways: int) -> Iterator[tuple[int, Rises]]:
    """That a difference of 0 or more stays so, or one below it: of equal rises the nearest to a change."""
    nearest: dict[Rises, int] = {}
    for one in compared:
        over, rises = _unpacked(one, ways)
        if over < 0:
            over, rises = -1 - over, tuple([-rise for rise in rises])
        each = gcd(*rises)
        rises = tuple([rise // each for rise in rises])
        nearest[rises] = min(over // each, nearest.get(rises, _ENDLESS))
    return ((over, rises) for rises, over in nearest.items())
