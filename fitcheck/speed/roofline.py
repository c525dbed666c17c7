"""One decode step as a sum of rooflines.

    t = sum over groups of soft_max(bytes / bandwidth, weights / kernel rate)
        + attention(depth) + overhead

A group holds the tensors of one type that a step reads. Whichever term is the
largest share of the time is what binds.
"""

from collections.abc import Iterable
from typing import NamedTuple

from fitcheck.schema.engine import OVERLAP
from fitcheck.schema.plan import Bound


class Load(NamedTuple):
    """Work of one group: bytes read, weights multiplied, and weights/s of all cores."""

    bytes: float
    weights: float
    weights_per_s: float | None  # None: memory alone is assumed to bind
    overlap: float = OVERLAP  # of both, as schema.engine.TypeRate has it
    waiting_s: float = 0.0  # on top of reading, for memory that starts anew
    cached_s: float = 0.0  # of what comes after: weights multiplied once more, from the cache, or waited for

    def seconds(self, bytes_per_s: float) -> float:
        """Reading and multiplying overlap; what comes after them doesn't."""
        return soft_max(self.reading_s(bytes_per_s), self.multiplying_s, self.overlap) + self.cached_s

    def reading_s(self, bytes_per_s: float) -> float:
        return self.bytes / bytes_per_s + self.waiting_s

    @property
    def multiplying_s(self) -> float:
        return self.weights / self.weights_per_s if self.weights_per_s else 0.0


class Step(NamedTuple):
    """Seconds of one decode step by what they were spent on."""

    memory_s: float
    compute_s: float
    attention_s: float
    overhead_s: float

    def then(self, other: "Step") -> "Step":
        """Both, one after the other."""
        return Step(
            self.memory_s + other.memory_s,
            self.compute_s + other.compute_s,
            self.attention_s + other.attention_s,
            self.overhead_s + other.overhead_s,
        )

    @property
    def seconds(self) -> float:
        return self.memory_s + self.compute_s + self.attention_s + self.overhead_s

    def attending(self, attention_s: float) -> "Step":
        """The same step with so much attention."""
        return Step(self.memory_s, self.compute_s, attention_s, self.overhead_s)

    @property
    def bound(self) -> Bound:
        """What takes longest."""
        memory, compute, overhead = self.memory_s, self.compute_s + self.attention_s, self.overhead_s
        if memory >= compute and memory >= overhead:
            return "memory"
        return "compute" if compute >= overhead else "overhead"


def step(
    loads: Iterable[Load], bytes_per_s: float, *, attention_s: float = 0.0, overhead_s: float = 0.0
) -> Step:
    """Add up one decode step; each group costs a little more than its slower side."""
    memory = compute = 0.0
    for load in loads:
        reading, multiplying = load.reading_s(bytes_per_s), load.multiplying_s
        compute += load.cached_s
        taken = soft_max(reading, multiplying, load.overlap)
        if reading >= multiplying:
            memory += taken
        else:
            compute += taken
    return Step(memory, compute, attention_s, overhead_s)


def soft_max(one: float, other: float, overlap: float = OVERLAP) -> float:
    """Seconds of two activities that overlap: at least the longer, at most their sum.

    They don't overlap wholly: by ``overlap`` of 4, where both take equally long
    they take 2^(1/4) = 1.19 times as long together.
    """
    longer, shorter = (one, other) if one > other else (other, one)
    if shorter == 0.0:
        return longer
    return float(longer * (1 + (shorter / longer) ** overlap) ** (1 / overlap))
