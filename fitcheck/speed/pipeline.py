"""Prompts over cards that hold layers in turn: while one has a micro-batch, the one before it takes the next.

    t = period x (sum of all micro-batches) + (1 - period) x (the longest of them)
    period = max(the slowest card's share, 1 / (1 + queued layers / a card's layers))

The first is the makespan of a flow shop whose jobs keep their proportions on
every machine: each micro-batch waits for the slowest card, and the longest
passes through all. The second bound is the queue of commands: whoever fills it
must wait with the next micro-batch until the last card has got as far.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fitcheck.speed.decode import Runner
from fitcheck.speed.prefill import Prefiller, Prompts


class Stage(NamedTuple):
    """A card, as if it had the whole model, and how many of its layers it has."""

    whole: Prefiller
    layers: int


@dataclass(frozen=True)
class Pipeline(Prompts):
    """All layers on cards, each of which holds as many of them as any other would be slow or quick with."""

    stages: Sequence[Stage]
    queued_layers: float

    @property
    def runner(self) -> Runner:  # type: ignore[override]
        """The first card's."""
        return self.stages[0].whole.runner

    def seconds(self, tokens: int, depth: int = 0) -> float | None:
        ubatch = self.runner.request.ubatch
        each = self._each(tokens, depth)
        if each is None or tokens <= ubatch:
            return sum(each) if each else None
        longest = self._each(ubatch, depth + tokens - tokens % ubatch - ubatch)
        period = self._period(each)
        return period * sum(each) + (1 - period) * sum(longest or each)

    def _period(self, each: Sequence[float]) -> float:
        """Of the time that a micro-batch takes on all cards, what passes until the next one follows."""
        most = max(stage.layers for stage in self.stages)
        return max(max(each) / sum(each), 1 / (1 + self.queued_layers / most))

    def _each(self, tokens: int, depth: int) -> list[float] | None:
        """What each card takes for its layers, were they all alike."""
        layers = sum(stage.layers for stage in self.stages)
        found = [stage.whole.seconds(tokens, depth) for stage in self.stages]
        known = [seconds for seconds in found if seconds is not None]
        if len(known) < len(found):
            return None
        return [seconds * stage.layers / layers for seconds, stage in zip(known, self.stages, strict=True)]
