"""The registry of schedules, and the move most of them are made of."""

from collections.abc import Callable
from typing import Any, TypeVar

from fitcheck.footprint.arena import Tape

Kind = TypeVar("Kind")
Schedule = Callable[[Any, Tape, int, int], int]
_REGISTRY: dict[type, Schedule] = {}


def run(part: object, tape: Tape, hidden: int, source: int) -> int:
    """Record a part that reads ``source`` and drops it; the tensor it leaves has ``hidden`` rows."""
    return _REGISTRY[type(part)](part, tape, hidden, source)


def schedule(kind: type[Kind]) -> Callable[[Callable[[Kind, Tape, int, int], int]], None]:
    """Register the function that records ``kind``."""

    def register(function: Callable[[Kind, Tape, int, int], int]) -> None:
        _REGISTRY[kind] = function

    return register


def project(tape: Tape, size: int, source: int) -> int:
    """A product with a matrix: the result, and its source is done with."""
    result = tape.take(size)
    tape.drop(source)
    return result
