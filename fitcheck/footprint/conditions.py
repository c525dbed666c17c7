"""Which tensors of a model meet the conditions that mixes set for better types."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from fitcheck.footprint.mix import Condition, Rule


class Scope(NamedTuple):
    """What conditions ask: places among so many, and the model's query groups and experts."""

    total: int
    gqa: int
    experts: int


def settle(rule: Rule, default: str, scope: Scope) -> tuple[Rule, str]:
    """What is left of a rule once the model is known: conditions on single tensors, and the others' type."""
    left = []
    for condition, name in rule:
        asked = _OF_MODELS.get(condition)
        if asked is None:
            left.append((condition, name))
        elif asked(scope):
            return tuple(left), name
    return tuple(left), default


@lru_cache(maxsize=8192)
def deal(
    conditions: tuple[Condition, ...], places: tuple[int, ...], layers: tuple[int, ...], scope: Scope
) -> tuple[tuple[int, ...], ...]:
    """By condition the layers whose tensors are the first to meet it, and last those that meet none."""
    left, found = list(zip(places, layers, strict=True)), []
    for condition in conditions:
        meets = _OF_PLACES[condition]
        met = {place for place, _ in left if meets(place, scope)}
        found.append(tuple([layer for place, layer in left if place in met]))
        left = [one for one in left if one[0] not in met]
    return (*found, tuple([layer for _, layer in left]))


_OF_MODELS: dict[Condition, Callable[[Scope], bool]] = {
    "always": lambda scope: True,
    "gqa4": lambda scope: scope.gqa >= 4,
    "gqa4 or moe": lambda scope: scope.gqa >= 4 or scope.experts >= 4,
    "8 experts": lambda scope: scope.experts == 8,
}

_OF_PLACES: dict[Condition, Callable[[int, Scope], bool]] = {
    "first 2": lambda i, scope: i < 2,
    "first 4": lambda i, scope: i < 4,
    "first sixteenth": lambda i, scope: i < scope.total // 16,
    "first eighth": lambda i, scope: i < scope.total // 8,
    "middle": lambda i, scope: scope.total // 8 <= i < 7 * scope.total // 8,
    "more bits": lambda i, scope: _more_bits(i, scope.total),
    "more bits of 8 experts": lambda i, scope: scope.experts == 8 and _more_bits(i, scope.total),
}


def _more_bits(i: int, total: int) -> bool:
    """use_more_bits() of llama-quant.cpp."""
    return i < total // 8 or i >= 7 * total // 8 or (i - total // 8) % 3 == 2
