"""Tensors counted one by one -> groups of one type and one part."""

from collections.abc import Iterable
from typing import NamedTuple

from fitcheck.schema.weights import Part, WeightGroup

Share = tuple[int, int]
"""How much of a tensor a decoded token reads: so many of so many equal pieces."""

ALL, NOTHING = (1, 1), (0, 1)


class Counted(NamedTuple):
    """One tensor."""

    type: str
    part: Part
    weights: int
    bytes: int
    read: Share


def grouped(tensors: Iterable[Counted]) -> tuple[WeightGroup, ...]:
    """Sums of each type and part, in the order in which they first appear."""
    found: dict[tuple[str, Part], list[int]] = {}
    for type_, part, weights, size, (read, whole) in tensors:
        totals = found.setdefault((type_, part), [0] * 5)
        for index, amount in enumerate((1, weights, size, weights * read // whole, size * read // whole)):
            totals[index] += amount
    return tuple(WeightGroup(type_, part, *totals) for (type_, part), totals in found.items())
