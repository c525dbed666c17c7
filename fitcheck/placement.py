"""The memories of a machine as an engine may use them, and one way to lay a model on them.

Pure, like the planner, which takes the fastest way that fits. Layers go as
llama.cpp puts them: cards take the last ones, in the order of the cards and in
proportion to their memory, RAM the first ones and the embedding table.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Literal, NamedTuple

from fitcheck.budget import Budget, Pool
from fitcheck.footprint.residence import Residence, Spread
from fitcheck.footprint.shards import Sharded
from fitcheck.schema.engine import Engine
from fitcheck.schema.plan import RAM, DeviceUse
from fitcheck.schema.request import Request

Shares = tuple[int, ...]
"""Usable bytes of the first cards together, for each number of cards."""


class Engines:
    """The profiles of one engine that this machine can use, at least one of them."""

    def __init__(self, cpu: Engine | None, gpu: Engine | None) -> None:
        self.cpu, self.gpu = cpu, gpu
        either = gpu or cpu
        assert either is not None
        self.name, self.memory = either.name, either.memory  # the rules of both are the same


class Seat(NamedTuple):
    """A device's memory, as an engine may use it."""

    name: str
    kind: Literal["ram", "gpu", "unified"]
    usable_bytes: int | None  # None: unknown, and nothing is held against it
    memory_bytes: int


class Way:
    """One way to run a model: what lies where, and how much room it leaves."""

    def __init__(
        self,
        seats: tuple[Seat, ...],
        needs: tuple[int, ...],
        gpu: bool,
        *,
        home: Residence | None = None,
        spread: Spread | None = None,
        sharded: Sharded | None = None,
    ) -> None:
        self.seats = seats
        self.needs = needs  # bytes on each seat
        self.gpu = gpu  # a GPU computes; on unified memory nothing else tells
        self.home, self.spread = home, spread  # None: all in one memory
        self.sharded = sharded  # split within matrices: all cards hold a part of every layer
        # What each seat has left, negative where it is too small; None where its memory is unknown.
        self.rooms = tuple(
            [
                None if seat.usable_bytes is None else seat.usable_bytes - need
                for seat, need in zip(seats, needs, strict=True)
            ]
        )
        self.headroom_bytes = min([room for room in self.rooms if room is not None])  # of the fullest
        self.fits = self.headroom_bytes >= 0

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
            [
                DeviceUse(seat.name, seat.kind, seat.usable_bytes, need)
                for seat, need in zip(self.seats, self.needs, strict=True)
            ]
        )


class Seating:
    """What an engine may use of a machine, as was asked for: no model and no format changes it."""

    def __init__(self, request: Request, budget: Budget, engines: Engines) -> None:
        self.request, self.engines, self.ram = request, engines, budget.ram
        self.buffers = engines.memory.buffers  # the engine's own, where its profile knows them
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
        return len(self.cards) > 1 and self.engines.memory.several_cards == "tensors"

    @property
    def ram_holds_all(self) -> bool:
        """Whether a model may lie in RAM alone."""
        return any(not gpu for _, gpu in self.alone)

    @property
    def splits(self) -> bool:
        """Whether some layers may stay in RAM, as many as is best."""
        able = self.engines.memory.splits
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
        share, size = self.engines.memory.share, card.memory_bytes
        return card if share is None else card._replace(reserve_bytes=size - int(share * size))


def seat_of(pool: Pool) -> Seat:
    return Seat(pool.name, pool.kind, pool.usable_bytes, pool.memory_bytes)


def shares_of(cards: Iterable[Pool]) -> Shares:
    return tuple(accumulate(card.usable_bytes for card in cards))


def spread_over(shares: Shares, layers: int, on_cards: int, cpu_moe: int) -> Spread:
    """The last layers on the cards in proportion to their memory, the others and some experts in RAM."""
    start, whole = layers - on_cards, shares[-1] or 1
    ends = tuple([start - (-size * on_cards // whole) for size in shares])
    return Spread(start, max(start, cpu_moe), ends)
