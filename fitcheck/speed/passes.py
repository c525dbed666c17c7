"""A pass: what a model computes at once, of several sequences and of tokens guessed ahead.

Weights are read once for all of its tokens, each sequence's cache once, and
arithmetic is done for every token. A model of experts reads more of them: of
``count`` experts, n tokens that choose ``active`` each at random meet

    count x (1 - (1 - active / count)^n)

A draft guesses k tokens, and the target checks them in one pass; if each is
taken with probability p, the pass yields

    1 + p + ... + p^k = (1 - p^(k + 1)) / (1 - p)

tokens (Leviathan, Kalman, Matias: Fast Inference from Transformers via
Speculative Decoding, 2023, equation 1).
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from fitcheck.schema.model import Experts, Model
from fitcheck.schema.request import Request
from fitcheck.units import gib


class Pass(NamedTuple):
    """The tokens of one pass, and what it takes to guess some of them."""

    sequences: int = 1
    drafted: int = 0  # for each sequence
    accept: float = 0.0  # the share of drafted tokens that the target takes, each after those before it
    draft_bytes: int = 0  # read for each drafted token, once for all sequences

    @property
    def tokens(self) -> int:
        """Computed by the target."""
        return self.sequences * (self.drafted + 1)

    @property
    def gained(self) -> float:
        """Expected of all sequences together."""
        if not self.drafted:
            return float(self.sequences)
        return self.sequences * sum(self.accept**guess for guess in range(self.drafted + 1))

    @property
    def drafts_bytes(self) -> int:
        """Read by the draft for the whole pass."""
        return self.drafted * self.draft_bytes


def pass_of(request: Request) -> Pass:
    return Pass(request.batch, request.speculate, request.accept, request.draft_bytes)


@lru_cache(maxsize=4096)
def experts_met(model: Model, tokens: int) -> float:
    """Expert weights that a pass reads, in times of what one token reads."""
    stacks = [part for layer in model.layers for part in layer.ffns if isinstance(part, Experts)]
    alone = sum(part.active * part.size for part in stacks)
    met = sum(part.count * (1 - (1 - part.active / part.count) ** tokens) * part.size for part in stacks)
    return met / alone if alone else 1.0


def at_most(alone: float | None, together: float | None, tokens: int) -> float | None:
    """Weights x tokens a second of a pass, which takes no less than one of its tokens would alone.

    ``together`` is the rate of many tokens; where nobody knows it, each costs what it costs alone.
    """
    if alone is None or together is None:
        return alone or together
    return min(together, tokens * alone)


def pass_notes(request: Request) -> Iterator[str]:
    """What a plan says of its passes."""
    one = pass_of(request)
    if one.sequences > 1:
        yield (
            f"{one.sequences} sequences decode together: tokens/s are of all of them, "
            "each at the depth asked for; on CPUs such speeds were 7 % off at the median of our own runs"
        )
    if one.drafted:
        cost = f"a draft of {gib(one.draft_bytes)}" if one.draft_bytes else "a draft that costs nothing"
        yield (
            f"speculative decoding: {cost} guesses {one.drafted} tokens, of which {one.accept:.0%} are taken "
            f"(assumed): {one.gained / one.sequences:.2f} tokens a pass"
        )
