"""Cards that share every layer: each multiplies its part of a matrix, and then all sum what they found.

    t = the slowest card's part + sums x (base + 2 (n - 1) steps + 2 (n - 1) / n x bytes / link)

After each mixer and each feed-forward block every card needs the sum of all
cards' results, a hidden row a token in 16 bits (Megatron-LM, arXiv:1909.08053,
section 3); the embedding takes one such sum, the scores of the vocabulary are
gathered once.
"""

from functools import lru_cache

from fitcheck.footprint.shards import Shard, indivisible
from fitcheck.schema.engine import Link
from fitcheck.schema.model import Model
from fitcheck.speed.decode import Cost, Decoder, Runner, Steps
from fitcheck.speed.engines import link_of
from fitcheck.speed.roofline import Step

_ELEMENT_BYTES = 2
_OUTSIDE_LAYERS = 2  # the embedding, and the scores


class ParallelDecoder(Steps):
    """Equal cards at work on the same layer: one cost, that of the slowest, and the sums between them."""

    def __init__(self, runner: Runner, shard: Shard) -> None:
        """``runner`` is the slowest card, which knows with how many it shares."""
        super().__init__(runner.together)
        self._card = Decoder(runner, shard.groups)
        self.summing_s = summing_s(runner, shard.cards)

    def costs(self, depth: int) -> tuple[Cost, ...]:
        (cost,) = self._card.costs(depth)
        return (cost._replace(step=cost.step.then(Step(0.0, 0.0, 0.0, self.summing_s))),)


def summing_s(runner: Runner, cards: int) -> float:
    """What all sums of a pass take."""
    if cards == 1:
        return 0.0
    row = runner.together.tokens * runner.model.hidden_size * _ELEMENT_BYTES
    return sums(runner.model) * sum_s(_link(runner), cards, row)


def sum_s(link: Link, cards: int, size: int) -> float:
    """What one sum of so many bytes over the cards takes."""
    steps = 2 * (cards - 1)
    return link.base_s + steps * link.step_s + steps / cards * size / link.bytes_per_s


@lru_cache(maxsize=512)
def sums(model: Model) -> int:
    """Of a pass: one after each mixer and each feed-forward block, and those outside the layers."""
    inside = sum((layer.mixer is not None) + bool(layer.ffns) for layer in model.layers)
    return inside + _OUTSIDE_LAYERS


def sharing_note(runner: Runner, cards: int, present: int) -> str:
    """How the cards are used, in a line, and which are not."""
    used = f"{cards} of {present} cards"
    idle = f"; {indivisible(runner.model, present)} don't divide by {present}" if cards < present else ""
    if cards == 1:
        return f"{used} at work{idle}"
    link, count = _link(runner), sums(runner.model)
    each = summing_s(runner, cards) / count
    return (
        f"tensor parallel on {used}: each holds its part of every matrix, and all work at once; "
        f"the {count} sums of a token over {link.name} take about {each * 1e6:.0f} µs each{idle}"
    )


def _link(runner: Runner) -> Link:
    assert runner.card is not None
    return link_of(runner.engine, runner.card.name)
