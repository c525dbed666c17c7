"""An engine's rounds between plain reads of this machine's memory and readings of its core."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import harmonic_mean, median
from typing import Generic, NamedTuple, TypeVar

from fitcheck.bench.bandwidth import Reader, native_reader
from fitcheck.bench.clock import Deadline
from fitcheck.bench.core import CoreClock
from fitcheck.schema.machine import Pages

Progress = Callable[[float], None]
Answer = TypeVar("Answer")

_READS = 3  # passes whose median is one reading of the bandwidth


@dataclass(frozen=True, slots=True)
class Round(Generic[Answer]):
    """One run of the engine, and the means of what was timed just before and after it."""

    answer: Answer
    read_bytes_per_s: float
    core_weights_per_s: float | None  # None: not timed


@dataclass(frozen=True, slots=True)
class Beside:
    """What to time beside the engine: reads by as many threads, on the same kind of pages, and the core."""

    threads: int
    pages: Pages
    buffer_bytes: int
    clock: CoreClock | None  # None: no kernel tells how fast a core is


def run_rounds(
    turn: Callable[[], Answer], rounds: int, beside: Beside, deadline: Deadline, progress: Progress
) -> tuple[Round[Answer], ...]:
    """The engine in turn with the rest. Raises BadInput where the engine fails or takes too long.

    One round is always run; where the time is up after it, the others are left out.
    """
    found: list[Round[Answer]] = []
    with native_reader()(beside.buffer_bytes, beside.threads, (beside.pages,)) as reader:
        before = _surroundings(reader, beside)
        for number in range(rounds):
            if found and deadline.passed:
                break
            answer = turn()
            after = _surroundings(reader, beside)
            found.append(_round(answer, before, after))
            before = after
            progress((number + 1) / rounds)
    return tuple(found)


class _Surroundings(NamedTuple):
    """The machine between two rounds: nothing of the engine's runs meanwhile."""

    read_bytes_per_s: float
    core_weights_per_s: float | None


def _surroundings(reader: Reader, beside: Beside) -> _Surroundings:
    return _Surroundings(_bandwidth(reader, beside), beside.clock.reading() if beside.clock else None)


def _round(answer: Answer, before: _Surroundings, after: _Surroundings) -> Round[Answer]:
    read = harmonic_mean((before.read_bytes_per_s, after.read_bytes_per_s))
    one, other = before.core_weights_per_s, after.core_weights_per_s
    return Round(answer, read, harmonic_mean((one, other)) if one and other else None)


def _bandwidth(reader: Reader, beside: Beside) -> float:
    reader.seconds(beside.threads, beside.pages)  # warm
    seconds = (reader.seconds(beside.threads, beside.pages) for _ in range(_READS))
    return beside.buffer_bytes / median(seconds)
