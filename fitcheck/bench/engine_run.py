"""An engine's rounds between plain reads of this machine's memory."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar

from fitcheck.bench.bandwidth import Reader, native_reader
from fitcheck.bench.clock import Deadline
from fitcheck.schema.machine import Pages

Progress = Callable[[float], None]
Answer = TypeVar("Answer")

_READS = 3  # passes whose median is one reading of the bandwidth


@dataclass(frozen=True, slots=True)
class Round(Generic[Answer]):
    """One run of the engine, and the mean of the plain reads just before and after it."""

    answer: Answer
    read_bytes_per_s: float


@dataclass(frozen=True, slots=True)
class Reads:
    """How to read beside the engine: as many threads, on the same kind of pages."""

    threads: int
    pages: Pages
    buffer_bytes: int


def run_rounds(
    turn: Callable[[], Answer], rounds: int, reads: Reads, deadline: Deadline, progress: Progress
) -> tuple[Round[Answer], ...]:
    """The engine and plain reads in turn. Raises BadInput where the engine fails or takes too long.

    One round is always run; where the time is up after it, the others are left out.
    """
    found: list[Round[Answer]] = []
    with native_reader()(reads.buffer_bytes, reads.threads, (reads.pages,)) as reader:
        before = _reading(reader, reads)
        for number in range(rounds):
            if found and deadline.passed:
                break
            answer = turn()
            after = _reading(reader, reads)
            found.append(Round(answer, 2 / (1 / before + 1 / after)))
            before = after
            progress((number + 1) / rounds)
    return tuple(found)


def _reading(reader: Reader, reads: Reads) -> float:
    reader.seconds(reads.threads, reads.pages)  # warm
    return reads.buffer_bytes / median(reader.seconds(reads.threads, reads.pages) for _ in range(_READS))
