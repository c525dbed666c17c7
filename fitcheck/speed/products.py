"""Products of several tokens with the same weights, as engines on CPUs form them.

One token after another: the first waits for the weights, each further one finds
them in the cache, where they are multiplied while memory rests. That doubles
nothing but arithmetic:

    t(n) = soft_max(bytes / bandwidth, weights / rate) + (n - 1) x weights / rate again

Or all at once, by code of its own that starts where there are enough tokens. It
unpacks a weight once and fills whole tiles:

    t(n) = soft_max(bytes / bandwidth, weights x (tokens in whole tiles + half_at) / rate)

It may read rows in long pieces, or in short ones where no long ones make them
up: memory then starts anew for each.
"""

from typing import NamedTuple

from fitcheck.schema.engine import OVERLAP, TypeRate
from fitcheck.speed.roofline import Load


class Matrices(NamedTuple):
    """Weights of one type that the same tokens meet."""

    bytes: float
    weights: float
    rows: float
    odd: float = 0.0  # of the weights, those in rows that long pieces don't make up


class Code(NamedTuple):
    """Code for many tokens on all cores, which are so many times as fast as the one it was measured on."""

    of_core: TypeRate
    power: float

    def load(self, met: Matrices, tokens: float, by: "Products") -> Load:
        """Never quicker than one token alone would be."""
        code = self.of_core
        per_s = self.power / code.seconds_of_many(tokens)
        anew_s = met.odd * code.odd_s / self.power
        return Load(met.bytes, met.weights, min(per_s, by.alone or per_s), by.overlap, cached_s=anew_s)


class Products(NamedTuple):
    """How all cores together multiply tokens by a type."""

    alone: float | None  # weights a second of one token; None: memory alone is assumed to bind
    again: float | None  # of a further token, whose weights lie in the cache; None as above
    turn_s: float = 0.0  # of a row, where tokens come one after another to several cores
    codes: tuple[Code, ...] = ()  # for many tokens, the fewest first
    overlap: float = OVERLAP  # of multiplying with reading, as schema.engine.TypeRate has it

    @property
    def of_experts(self) -> "Products":
        """The same for the matrices of experts, which not every code multiplies."""
        return self._replace(codes=tuple(code for code in self.codes if code.of_core.experts))

    def load(self, met: Matrices, tokens: float, bytes_per_s: float) -> Load:
        """Work of so many tokens.

        An engine may be slower with few tokens than its code for more of them
        is; who has that choice adds tokens, so no pass costs more than a
        larger one.
        """
        later = (code for code in self._of_several if code.of_core.since > tokens)
        larger = (code.load(met, code.of_core.since, self) for code in later)
        return min((self._load(met, tokens), *larger), key=lambda load: load.seconds(bytes_per_s))

    def _load(self, met: Matrices, tokens: float) -> Load:
        for code in reversed(self._of_several):
            if tokens >= code.of_core.since:
                return code.load(met, tokens, self)
        cached_s = (tokens - 1) * met.weights / self.again if self.again else 0.0
        # no longer than another core helps, so that two are never slower than one
        waiting_s = min(self.turn_s * met.rows, cached_s)
        return Load(met.bytes, met.weights, self.alone, self.overlap, waiting_s, cached_s)

    @property
    def _of_several(self) -> tuple[Code, ...]:
        """Those that start somewhere: a rate of prompts alone says nothing of few tokens."""
        return tuple(code for code in self.codes if code.of_core.since > 1)
