"""The buffer llama.cpp computes in: ggml's allocator over tensors that live and die in a fixed order.

Rules from ggml/src/ggml-alloc.c of b11434: a tensor takes the smallest hole it
fits into, the later of equal ones, else the end of the buffer; a freed tensor
merges with the holes beside it; offsets are multiples of 32 bytes. What the
buffer needs is the furthest byte ever taken, holes and all, so the order
matters and no sum over living tensors says it.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

ALIGNMENT = 32
_ENDLESS = 1 << 62
NOTHING = -1


class Size(NamedTuple):
    """Elements of a tensor: a term for each thing its shape grows with."""

    token: int = 0  # elements a token of the micro-batch
    output: int = 0  # a token whose logits are wanted
    score: int = 0  # a token and cell of the cache
    cell: int = 0  # a cell of the cache, all slots together
    sequence: int = 0  # a slot
    window: int | None = None  # whose cells
    width: int = 4  # bytes of an element
    fixed: int = 0  # elements whatever the batch
    ratio: int = 1  # tokens that a cell stands for; where there is a window, those cells lie beside its own
    spare: int = 0  # a slot but one, where they share cells
    most: int = 0  # no more cells of a slot than that, where it isn't 0


class Tape:
    """Records which tensors a graph takes and gives back, in the engine's order.

    A move is a tensor and the number of its size, or -1 where it is given back.
    """

    def __init__(self, flash: bool, quantized: bool) -> None:
        self.flash = flash
        self.shares_cells = False  # whether slots share the cache's cells, and no block can be masked
        self.quantized = quantized  # the cache, whose rows are then turned before they are rounded
        self.rotates = True  # whether attention turns queries and keys by their position
        self.projects = True  # whether attention ends with its output's product, or leaves that for later
        self.turns_back = True  # whether attention turns back what it read of a turned cache, or leaves that
        self.ahead_of_rest: Callable[[], None] | None = None  # what else is made then (Kimi K3)
        self.ahead: tuple[int, ...] = ()  # elements a slot of states that the next part reads first of all
        self.gathered: list[int] = []  # such states, once they are read
        self.given: list[int] = []  # inputs of the cache that the running layer reads, until it has
        self.picked = False  # whether only the rows of wanted outputs are left
        self.tokens = NOTHING  # the batch's, which a table of experts looks up too
        self.wanted = NOTHING  # numbers of the rows whose outputs are wanted
        self.picks = False  # whether the feed-forward block picks those rows itself
        self.blanks: list[int] = []  # laid out at the start for layers whose cells are chosen, in their order
        self.compressed: dict[int, tuple[int, ...]] = {}  # by ratio: a mask, and what goes with it
        self.chosen: int | None = None  # cells that the last indexer chose, where layers behind it share them
        self.shares = False  # whether they do
        self.windowed = False  # whether some layers have a window
        self.norms_values = False  # whether values are normed, as keys are
        self.widest_value = 0  # to which all values are widened, without flash attention
        self.norms_weights = True  # whether the weights of the chosen experts are made to sum to one
        self.activates_apart = (
            False  # whether a gate's activation takes a tensor of its own, before up is made
        )
        self.beside: int | None = None  # values of attention that waits for a mixer beside it
        self.waiting: object = None  # that attention
        self.shifted = self.unstored = NOTHING  # of RWKV: the states of inputs; the time mix's input
        self.lasting: int | None = None  # made by the first layer and read by all others (RWKV 7, MiniMax M3)
        self.moves: list[tuple[int, int]] = []
        self.sizes: dict[Size, int] = {}  # with their numbers
        self._uses: list[int] = []

    def take(
        self,
        token: int = 0,
        *,
        score: int = 0,
        cell: int = 0,
        sequence: int = 0,
        window: int | None = None,
        width: int = 4,
        fixed: int = 0,
        ratio: int = 1,
        spare: int = 0,
        most: int = 0,
        uses: int = 1,
    ) -> int:
        """A new tensor of that Size, which goes once ``uses`` have dropped it."""
        rows = (0, token) if self.picked else (token, 0)
        size = Size(*rows, score, cell, sequence, window, width, fixed, ratio, spare, most)
        self.moves.append((len(self._uses), self.sizes.setdefault(size, len(self.sizes))))
        self._uses.append(uses)
        return len(self._uses) - 1

    def last_use(self, tensor: int) -> bool:
        """Whether but one user is left, so that it may write its result there."""
        return self._uses[tensor] == 1

    def keep(self, tensor: int) -> int:
        """One user more."""
        self._uses[tensor] += 1
        return tensor

    def gather(self, sizes: tuple[int, ...]) -> None:
        """Read states of these sizes out of the cache, a row for each slot."""
        self.gathered = [self.take(sequence=size) for size in sizes]

    def expand(self) -> None:
        """The end of what is built at once: the next part's states come before the rest of this one."""
        if self.ahead_of_rest is not None:
            self.ahead_of_rest()
        if self.ahead:
            self.gather(self.ahead)

    def done_with_cache(self) -> None:
        """Attention has read the cache: its mask and places go with their last layer."""
        self.drop(*self.given)
        self.given = []

    def drop(self, *tensors: int) -> None:
        """A user of each is done with it; what nobody uses any more is given back."""
        for tensor in tensors:
            self._uses[tensor] -= 1
            if not self._uses[tensor]:
                self.moves.append((tensor, -1))


class Reach(NamedTuple):
    """``top + t * rise`` bytes, where sizes grow by their own rise for each t from ``low`` to ``high``."""

    top: int
    rise: int
    low: int
    high: int


def furthest(moves: Sequence[tuple[int, int]], sizes: Sequence[int], tensors: int) -> int:
    """The furthest byte that moves as a Tape has them take, given the bytes of each size."""
    return reach(moves, [(aligned(size), 0) for size in sizes], tensors).top


def aligned(size: int) -> int:
    """What a tensor of so many bytes takes."""
    return -(-max(size, 1) // ALIGNMENT) * ALIGNMENT


def reach(moves: Sequence[tuple[int, int]], sizes: Sequence[tuple[int, int]], tensors: int) -> Reach:
    """The furthest byte as sizes grow: each is given with its rise.

    Places are chosen by comparing lengths, which grow evenly too: as long as
    every comparison comes out as it does at t = 0, all places are the same.
    """
    starts, lengths, rises = [(0, 0)], [_ENDLESS], [0]  # holes by address; the last is the end of the buffer
    places = [((0, 0), (0, 0))] * tensors
    top = top_rise = 0
    alike = _Alike()
    for tensor, number in moves:
        if number < 0:
            _give(starts, lengths, rises, *places[tensor])
            continue
        size, rise = sizes[number]
        hole = _hole(lengths, rises, size, rise, alike)
        start, start_rise = starts[hole]
        places[tensor] = (start, start_rise), (size, rise)
        end, end_rise = start + size, start_rise + rise
        if hole == len(lengths) - 1:
            if end_rise != top_rise:
                alike.keep(top - end, top_rise - end_rise)
            if end > top:
                top, top_rise = end, end_rise
        if lengths[hole] == size:
            if rises[hole] != rise:  # it fills the hole here and nowhere else
                return reach(moves, [(size, 0) for size, _ in sizes], tensors)._replace(low=0, high=0)
            del starts[hole], lengths[hole], rises[hole]
        else:
            starts[hole] = end, end_rise
            lengths[hole] -= size
            rises[hole] -= rise
    return Reach(top, top_rise, alike.low, alike.high)


def _hole(lengths: list[int], rises: list[int], size: int, rise: int, alike: "_Alike") -> int:
    """The smallest hole that is large enough, the later of equal ones."""
    hole = last = len(lengths) - 1
    smallest, smallest_rise = _ENDLESS, 0
    for other in range(last):
        length, other_rise = lengths[other], rises[other]
        if other_rise != rise:
            alike.keep(length - size, other_rise - rise)
        if size <= length:
            if other_rise != smallest_rise:
                alike.keep(smallest - length, smallest_rise - other_rise)
            if length <= smallest:
                hole, smallest, smallest_rise = other, length, other_rise
    if smallest_rise != rise and hole != last:  # filled or not, it stays so
        alike.keep(size - smallest, rise - smallest_rise)
    return hole


class _Alike:
    """The steps t over which comparisons come out alike."""

    def __init__(self) -> None:
        self.low, self.high = -_ENDLESS, _ENDLESS

    def keep(self, over: int, rise: int) -> None:
        """``over + t * rise`` stays at least 0, or below it, as it is at t = 0."""
        if over < 0:
            over, rise = -1 - over, -rise
        if rise < 0:
            self.high = min(self.high, over // -rise)
        else:
            self.low = max(self.low, -(over // rise))


def _give(
    starts: list[tuple[int, int]],
    lengths: list[int],
    rises: list[int],
    start: tuple[int, int],
    size: tuple[int, int],
) -> None:
    """A hole more, or a neighbour grown. Neighbours are so whatever the sizes."""
    place = bisect_left(starts, start)
    length, rise = size
    end = start[0] + length, start[1] + rise
    joins_next = starts[place] == end
    before = place - 1
    if place and starts[before] == (start[0] - lengths[before], start[1] - rises[before]):
        lengths[before] += length
        rises[before] += rise
        if joins_next:
            lengths[before] += lengths[place]
            rises[before] += rises[place]
            del starts[place], lengths[place], rises[place]
    elif joins_next:
        starts[place] = start
        lengths[place] += length
        rises[place] += rise
    else:
        starts.insert(place, start)
        lengths.insert(place, length)
        rises.insert(place, rise)
