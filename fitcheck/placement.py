"""Which layers may lie where: every way to spread a model over the devices of a machine.

Pure, like the planner, which takes the fastest of those that fit. Layers go as
llama.cpp puts them: cards take the last ones, in the order of the cards and in
proportion to their memory, RAM the first ones and the embedding table. Engines
that split within matrices use as many cards as divide them, each for an equal part.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Literal, NamedTuple

from fitcheck.budget import Budget, Pool
from fitcheck.footprint.kv_cache import CELL_PADDING
from fitcheck.footprint.layers import ByLayer
from fitcheck.footprint.memory import choices_of, footprint, longest_cache, max_context, most_cells
from fitcheck.footprint.residence import Residence, Spread
from fitcheck.footprint.shards import Shard, Sharded, most_cards
from fitcheck.schema.engine import Engine
from fitcheck.schema.model import Model
from fitcheck.schema.plan import RAM, DeviceUse
from fitcheck.schema.request import Request

Shares = tuple[int, ...]
"""Usable bytes of the first cards together, for each number of cards."""


class Engines(NamedTuple):
    """The profiles of one engine that this machine can use."""

    cpu: Engine | None
    gpu: Engine | None

    @property
    def any(self) -> Engine:
        """Either: their memory rules are the same."""
        engine = self.gpu or self.cpu
        assert engine is not None
        return engine

    @property
    def name(self) -> str:
        return self.any.name


class Seat(NamedTuple):
    """A device's memory, as an engine may use it."""

    name: str
    kind: Literal["ram", "gpu", "unified"]
    usable_bytes: int | None  # None: unknown, and nothing is held against it
    memory_bytes: int


@dataclass(frozen=True, eq=False)
class Way:
    """One way to run a model: what lies where, and how much room it leaves."""

    seats: tuple[Seat, ...]
    needs: tuple[int, ...]  # bytes on each seat
    gpu: bool  # a GPU computes; on unified memory nothing else tells
    home: Residence | None = None  # None: all in one memory
    spread: Spread | None = None
    sharded: Sharded | None = None  # split within matrices: all cards hold a part of every layer

    @property
    def gpu_layers(self) -> int:
        """Layers on cards, the output counted; 0 where memory is one."""
        return self.home.layers - self.spread.in_ram if self.home and self.spread else 0

    @property
    def cpu_moe_layers(self) -> int:
        """Layers on cards whose experts lie in RAM."""
        return self.spread.experts_in_ram - self.spread.in_ram if self.spread else 0

    @property
    def devices(self) -> tuple[DeviceUse, ...]:
        return tuple(
            DeviceUse(seat.name, seat.kind, seat.usable_bytes, need)
            for seat, need in zip(self.seats, self.needs, strict=True)
        )

    @property
    def rooms(self) -> tuple[int | None, ...]:
        """What each seat has left, negative where it is too small; None where its memory is unknown."""
        return tuple(
            None if seat.usable_bytes is None else seat.usable_bytes - need
            for seat, need in zip(self.seats, self.needs, strict=True)
        )

    @cached_property
    def headroom_bytes(self) -> int:
        """Of the fullest device whose memory is known."""
        return min(room for room in self.rooms if room is not None)

    @property
    def fits(self) -> bool:
        return self.headroom_bytes >= 0


class Seating:
    """What an engine may use of a machine, as was asked for: no model and no format changes it."""

    def __init__(self, request: Request, budget: Budget, engines: Engines) -> None:
        self.request, self.engines, self.ram = request, engines, budget.ram
        self.buffers = engines.any.memory.buffers  # the engine's own, where its profile knows them
        self.alone = tuple(self._alone(budget))
        self.cards = tuple(map(self._card, budget.cards)) if engines.gpu else ()
        self.usable = tuple(card.usable_bytes for card in self.cards)
        self.shares = shares_of(self.cards)
        host = seat_of(budget.ram) if budget.ram else Seat(RAM, "ram", None, 0)
        self.seats = (*map(seat_of, self.cards), host)

    @property
    def onto_cards(self) -> bool:
        """Whether any layer may go to a card."""
        return bool(self.cards) and self.request.gpu_layers != 0

    @property
    def shares_layers(self) -> bool:
        """Whether cards hold parts of every matrix instead of layers."""
        return len(self.cards) > 1 and self.engines.any.memory.several_cards == "tensors"

    @property
    def ram_holds_all(self) -> bool:
        """Whether a model may lie in RAM alone."""
        return any(not gpu for _, gpu in self.alone)

    @property
    def splits(self) -> bool:
        """Whether some layers may stay in RAM, as many as is best."""
        able = self.engines.any.memory.splits
        return able and self.engines.cpu is not None and self.ram is not None

    def _alone(self, budget: Budget) -> Iterator[tuple[Seat, bool]]:
        """Memories that may hold all of a model, and whether a GPU computes on them."""
        asked, engines = self.request, self.engines
        if engines.gpu and budget.unified and asked.gpu_layers != 0:
            yield seat_of(budget.unified), True
        forced = engines.gpu is not None and bool(asked.gpu_layers or asked.cpu_moe_layers)
        if engines.cpu and budget.ram and not forced:
            yield seat_of(budget.ram), False

    def _card(self, card: Pool) -> Pool:
        """With what the engine may use of it."""
        share, size = self.engines.any.memory.share, card.memory_bytes
        return card if share is None else card._replace(reserve_bytes=size - int(share * size))


def seat_of(pool: Pool) -> Seat:
    return Seat(pool.name, pool.kind, pool.usable_bytes, pool.memory_bytes)


@dataclass(frozen=True, eq=False)
class Spreader:
    """A format's weights and the devices they may lie on."""

    model: Model
    weights_bytes: int
    by_layer: Callable[[], ByLayer]
    shard: Callable[[int], Shard]  # of one of so many cards
    on: Seating

    def ways(self, context: int) -> Iterator[Way]:
        """Every way worth a look with so long a context, fitting or not; none where the engine can't."""
        if self.on.alone:
            need = footprint(
                self.model, self.weights_bytes, self.on.request, context, self.on.buffers
            ).total_bytes
            for seat, gpu in self.on.alone:
                yield Way((seat,), (need,), gpu)
        if self._shares:
            yield from self._sharings(context)
        elif self.on.onto_cards:
            home = self._home(context)
            for spread in self._spreads(home):
                needs = (home.card_bytes(spread, card) for card in range(len(self.on.cards)))
                yield Way(self.on.seats, (*needs, home.ram_bytes(spread)), True, home, spread)

    @property
    def _shares(self) -> bool:
        return self.on.onto_cards and self.on.shares_layers

    def _sharings(self, context: int) -> Iterator[Way]:
        """The one way for engines that split within matrices; none where some layers are to stay in RAM."""
        asked, seats = self.on.request, self.on.seats
        if asked.gpu_layers not in (None, self.by_layer().layers) or asked.cpu_moe_layers:
            return
        cards = most_cards(self.model, len(self.on.cards))
        choices = choices_of(asked, self.on.buffers)
        parts = Sharded(self.model, self.shard(cards), context, choices)
        needs = (*[parts.card_bytes] * cards, parts.ram_bytes)
        yield Way((*seats[:cards], seats[-1]), needs, gpu=True, sharded=parts)

    def longest(self) -> int:
        """The longest context, a multiple of 256 cells, that some way holds; 0 where none does."""
        if not self.on.onto_cards:
            usable = max((seat.usable_bytes or 0 for seat, _ in self.on.alone), default=0)
            return self._longest_in(usable)
        least, most = (context // CELL_PADDING for context in self._bounds())
        if least == most or self._spread_holds(most * CELL_PADDING):
            return most * CELL_PADDING
        steps = range(least + 1, most)
        return CELL_PADDING * (
            least + bisect_left(steps, True, key=lambda n: not self._spread_holds(n * CELL_PADDING))
        )

    def _bounds(self) -> tuple[int, int]:
        """A context that RAM alone holds, and one beyond which the cache alone is too large for all memories.

        Both are quick to find, where each context between them asks how layers are best spread.
        """
        ram, request = self.on.ram, self.on.request
        longest = most_cells(self.model, request)
        if ram is None:
            return 0, self._longest_on_cards(longest)
        room = ram.usable_bytes + sum(self.on.usable)
        most = longest_cache(self.model, self.weights_bytes, request, room)
        if not self.on.ram_holds_all:
            return 0, most
        return self._longest_in(ram.usable_bytes), most

    def _longest_in(self, usable_bytes: int) -> int:
        return max_context(self.model, self.weights_bytes, self.on.request, usable_bytes, self.on.buffers)

    def _longest_on_cards(self, longest: int) -> int:
        """Where nothing is known of the RAM, in which the tables and what is asked for may lie."""
        request = self.on.request
        if request.gpu_layers is not None or request.cpu_moe_layers is not None:
            return longest
        held = self.by_layer()
        return longest_cache(self.model, held.dense[-1] + held.experts[-1], request, sum(self.on.usable))

    def _spread_holds(self, context: int) -> bool:
        """Whether cards and RAM together hold so long a context, in some way or other."""
        if self._shares:
            return any(way.fits for way in self._sharings(context))
        home = self._home(context)
        return any(self._fits(home, spread) for spread in self._spreads(home))

    def _home(self, context: int) -> Residence:
        on_cards = self.on.engines.any.memory.tables_on_cards
        choices = choices_of(self.on.request, self.on.buffers)
        return Residence(self.model, self.by_layer(), context, choices, on_cards)

    def _spreads(self, home: Residence) -> Iterator[Spread]:
        """All on the cards, and what lies between that and all in RAM."""
        every, asked = home.layers, self.on.request
        able = self.on.engines.any.memory.splits
        layers = every if asked.gpu_layers is None else asked.gpu_layers
        if not able and (layers < every or asked.cpu_moe_layers):
            return
        if asked.gpu_layers is not None or asked.cpu_moe_layers is not None or not self.on.splits:
            yield self._over_cards(home, layers, asked.cpu_moe_layers or 0)
            return
        whole = self._over_cards(home, every)
        yield whole
        if self._over(home, whole):
            yield from self._between(home)

    def _between(self, home: Residence) -> Iterator[Spread]:
        """As much as the cards hold; experts in RAM first; as little as RAM leaves to the cards."""
        few = range(1, home.layers)
        most = bisect_left(few, True, key=lambda n: self._over(home, self._over_cards(home, n)))
        fullest = self._over_cards(home, most)
        if most:
            yield fullest
        yield from self._experts_first(home)
        if not most or not self._in_ram(home, fullest):
            return
        few = range(1, most)
        least = bisect_left(few, True, key=lambda n: self._in_ram(home, self._over_cards(home, n)))
        if few[least:]:
            yield self._over_cards(home, few[least])

    def _experts_first(self, home: Residence) -> Iterator[Spread]:
        """All layers on the cards, with the experts of as few layers in RAM as need be."""
        every, inside = home.layers, home.layers - 1
        if not home.weights.experts[-1]:
            return
        least = bisect_left(
            range(inside),
            True,
            key=lambda n: not self._over(home, self._over_cards(home, every, n + 1)),
        )
        if least < inside:
            yield self._over_cards(home, every, least + 1)

    def _over_cards(self, home: Residence, layers: int, cpu_moe: int = 0) -> Spread:
        return spread_over(self.on.shares, home.layers, layers, cpu_moe)

    def _fits(self, home: Residence, spread: Spread) -> bool:
        return not self._over(home, spread) and self._in_ram(home, spread)

    def _in_ram(self, home: Residence, spread: Spread) -> bool:
        """Whether RAM holds its part; what nobody knows is held against no one."""
        ram = self.on.ram
        return ram is None or home.ram_bytes(spread) <= ram.usable_bytes

    def _over(self, home: Residence, spread: Spread) -> bool:
        """Whether a card would hold more than it can."""
        for card, usable in enumerate(self.on.usable):  # noqa: SIM110 (the innermost of loops)
            if home.card_bytes(spread, card) > usable:
                return True
        return False


def shares_of(cards: Iterable[Pool]) -> Shares:
    return tuple(accumulate(card.usable_bytes for card in cards))


def spread_over(shares: Shares, layers: int, on_cards: int, cpu_moe: int) -> Spread:
    """The last layers on the cards in proportion to their memory, the others and some experts in RAM."""
    start, whole = layers - on_cards, shares[-1] or 1
    ends = tuple([start - (-size * on_cards // whole) for size in shares])
    return Spread(start, max(start, cpu_moe), ends)
