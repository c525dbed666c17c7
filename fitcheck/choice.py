"""Which of a model's formats to take, asked of as few of them as decide it.

A candidate is judged when something of it is asked that its size alone does
not tell. A plan judges all of them anyway; a ranking of hundreds of models
takes one row of each, and most formats then are never looked at.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import takewhile
from math import inf
from typing import NamedTuple

from fitcheck.footprint.mixes import FORMATS
from fitcheck.footprint.mlx import runs_on_mlx
from fitcheck.footprint.quality import loss
from fitcheck.footprint.stored import Stored, stored_in_each
from fitcheck.judge import Judge, Judged, bits_per_weight, needs_native_training
from fitcheck.schema.model import Model
from fitcheck.schema.plan import Fits, FormatPlan

# Above 8.5 bits no perplexity gain was ever measured (Q8_0: +0.04 % on
# Llama-3-8B), so bits beyond it only cost speed.
BEST_BITS = 8.6

# Q4_K_M and what is larger loses about a percent of perplexity (Llama-3-8B +1.1 %
# in llama.cpp's quantize README); a layer in RAM costs most of a card's speed.
GOOD_BITS = 4.5


class Offer(NamedTuple):
    """A format of a model, and what no machine changes of it."""

    stored: Stored
    bits_per_weight: float
    order: tuple[bool, float]  # the least loss first; above BEST_BITS only where nothing else does
    ruins: bool  # a model that was not trained for it


def offer(model: Model, stored: Stored) -> Offer:
    bits = bits_per_weight(model, stored)
    order = (bits > BEST_BITS, loss(stored.format, bits, model))
    return Offer(stored, bits, order, needs_native_training(model, stored))


class Offers(NamedTuple):
    """Formats of a model as they are listed, and their places in the order of loss."""

    listed: tuple[Offer, ...]
    in_order: tuple[int, ...]


def in_order(listed: Iterable[Offer]) -> Offers:
    found = tuple(listed)
    return Offers(found, tuple(sorted(range(len(found)), key=lambda place: found[place].order)))


@lru_cache(maxsize=512)  # the catalogue: the next machine asks again
def offers(model: Model, *, apple: bool) -> Offers:
    """Every format that the model can be put in on such a machine."""
    listed = stored_in_each(model, apple=apple and runs_on_mlx(model))
    return in_order(offer(model, stored) for stored in listed)


class Candidate:
    """An offer on a machine, judged where and when that is asked for."""

    __slots__ = ("_judged", "_total_bytes", "judge", "offer", "stored")

    def __init__(self, judge: Judge, offered: Offer) -> None:
        self.judge, self.offer, self.stored = judge, offered, offered.stored
        self._judged: Judged | None = None
        self._total_bytes: int | None = None

    @property
    def judged(self) -> Judged:
        if self._judged is None:
            self._judged = self.judge.judge(self.stored)
        return self._judged

    @property
    def is_judged(self) -> bool:
        return self._judged is not None

    @property
    def row(self) -> FormatPlan:
        return self.judge.row(self.judged)

    @property
    def fits(self) -> Fits:
        return self.judged.fits if self.judge.host.may_hold(self.stored) else "no"

    @property
    def tokens_per_s(self) -> float:
        return self.judged.tokens_per_s

    @property
    def ternary(self) -> bool:
        return self.stored.format in FORMATS and self.stored.ternary

    @property
    def all_on_gpus(self) -> bool:
        """Whether they hold all layers."""
        return self.judge.host.gpus_may_hold(self.stored) and self.judge.all_on_gpus(self.judged)

    @property
    def total_bytes(self) -> int:
        """All that must be resident."""
        if self._total_bytes is None:
            self._total_bytes = self.judge.total_bytes(self.judged)
        return self._total_bytes


class Candidates:
    """A model's offers on a machine; each is made a candidate when somebody looks at it."""

    def __init__(self, judge: Judge, offered: Offers) -> None:
        self.judge, self._offered = judge, offered
        self._made: dict[int, Candidate] = {}
        self._able: list[int] = []  # places of those found so far
        self._unseen = iter(offered.in_order)

    def __iter__(self) -> Iterator[Candidate]:
        """As they are listed."""
        return map(self._at, range(len(self._offered.listed)))

    def able(self) -> Iterator[Candidate]:
        """Those that may fit and that people can run without ruining the model, the least loss first."""
        seen = 0
        while seen < len(self._able) or self._find_able():
            yield self._at(self._able[seen])
            seen += 1

    def _find_able(self) -> bool:
        """Find one more of them, if any is left: who asks takes the first few, but up to four times."""
        may_run, listed = self.judge.host.may_run, self._offered.listed
        for place in self._unseen:
            if not listed[place].ruins and may_run(listed[place].stored):
                self._able.append(place)
                return True
        return False

    def _at(self, place: int) -> Candidate:
        if place not in self._made:
            self._made[place] = Candidate(self.judge, self._offered.listed[place])
        return self._made[place]


Test = Callable[[Candidate], bool]


def best(candidates: Candidates, model: Model) -> Candidate | None:
    """The format to take: what loses least, then what runs fastest.

    A model trained ternary loses nothing in a ternary packing, so the fastest
    one is best. For every other model the least loss of perplexity decides, up
    to BEST_BITS; a comfortable fit comes before a tight one, and all layers on
    GPUs before some in RAM where that leaves GOOD_BITS or more.
    """
    for enough in (_comfortable, fitting):
        if model.trained_ternary:
            lossless = [one for one in candidates.able() if one.ternary and enough(one)]
            if lossless:
                return max(lossless, key=_speed)
        on_gpus = filter(_good, candidates.able()) if candidates.judge.host.gpu else ()
        found = most_faithful(on_gpus, _all_on_gpus(enough)) or most_faithful(candidates.able(), enough)
        if found:
            return found
    return None


def _good(one: Candidate) -> bool:
    return GOOD_BITS <= one.offer.bits_per_weight <= BEST_BITS


def most_faithful(in_order: Iterable[Candidate], enough: Test) -> Candidate | None:
    """Of those that pass the first in order, the fastest of equals."""
    left = iter(in_order)
    first = next(filter(enough, left), None)
    if first is None:
        return None
    equal = takewhile(lambda one: _order(one) == _order(first), left)
    return max((first, *filter(enough, equal)), key=_speed)


def _order(one: Candidate) -> tuple[bool, float]:
    return one.offer.order


def _all_on_gpus(enough: Test) -> Test:
    return lambda one: one.all_on_gpus and enough(one)


def nearest(candidates: Iterable[Candidate]) -> Candidate:
    """Where there is no best: what fits at a speed nobody knows, else the smallest.

    Of formats that the model may be put in, if any.
    """
    able = [one for one in candidates if not one.offer.ruins] or list(candidates)
    held = [one for one in able if one.fits != "no"]
    return max(held, key=_bits) if held else _smallest(able)


def _smallest(candidates: Sequence[Candidate]) -> Candidate:
    """By all that must be resident; nothing of it can be less than the weights."""
    least = inf
    for one in sorted(candidates, key=_weights):
        if _weights(one) > least:
            break
        least = min(least, one.total_bytes)
    return min((one for one in candidates if _weights(one) <= least), key=_total)


def _comfortable(one: Candidate) -> bool:
    return one.fits == "yes" and one.judged.decode is not None


def fitting(one: Candidate) -> bool:
    return one.fits != "no" and one.judged.decode is not None


def _bits(one: Candidate) -> float:
    return one.offer.bits_per_weight


def _speed(one: Candidate) -> float:
    return one.tokens_per_s


def _total(one: Candidate) -> int:
    return one.total_bytes


def _weights(one: Candidate) -> int:
    return one.stored.weights_bytes
