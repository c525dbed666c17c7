"""The registry of schedules, and the move most of them are made of."""

from collections.abc import Callable
from typing import Any, TypeVar

from fitcheck.footprint.arena import Tape

Kind = TypeVar("Kind")
Schedule = Callable[[Any, Tape, int, int], int]
_REGISTRY: dict[type, Schedule] = {}
_STATES: dict[type, Callable[[Any, int], tuple[int, ...]]] = {}


def run(part: object, tape: Tape, hidden: int, source: int) -> int:
    """Record a part that reads ``source`` and drops it; the tensor it leaves has ``hidden`` rows."""
    return _REGISTRY[type(part)](part, tape, hidden, source)


def states_first(part: object, hidden: int) -> tuple[int, ...]:
    """Elements a slot of each state that a part reads before anything else is made; none of most."""
    return _STATES[type(part)](part, hidden) if type(part) in _STATES else ()


def reads_first(sizes: Callable[[Any, int], tuple[int, ...]], *kinds: type) -> None:
    """Register what parts read before their norm: ``tape.gathered`` holds it when the schedule runs."""
    _STATES.update(dict.fromkeys(kinds, sizes))


def schedule(kind: type[Kind]) -> Callable[[Callable[[Kind, Tape, int, int], int]], None]:
    """Register the function that records ``kind``."""

    def register(function: Callable[[Kind, Tape, int, int], int]) -> None:
        _REGISTRY[kind] = function

    return register


def project(
    tape: Tape, size: int, source: int, *, sequence: int = 0, score: int = 0, window: int | None = None
) -> int:
    """A product with a matrix: the result, and its source is done with."""
    result = tape.take(size, sequence=sequence, score=score, window=window)
    tape.drop(source)
    return result
