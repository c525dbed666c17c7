"""Which layers may lie where: every way to spread a model over the devices of a machine.

Pure, like the planner, which takes the fastest of those that fit. Layers go as
llama.cpp puts them: cards take the last ones, in the order of the cards and in
proportion to their memory, RAM the first ones and the embedding table.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

from fitcheck.budget import Budget, Pool
from fitcheck.footprint.kv_cache import CELL_PADDING
from fitcheck.footprint.layers import ByLayer
from fitcheck.footprint.memory import choices_of, footprint, longest_cache, max_context, most_cells
from fitcheck.footprint.residence import Residence, Spread
from fitcheck.schema.engine import Buffer, Engine
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


@dataclass(frozen=True)
class Way:
    """One way to run a model: what lies where, and how much room it leaves."""

    devices: tuple[DeviceUse, ...]
    gpu: bool  # a GPU computes; on unified memory nothing else tells
    home: Residence | None = None  # None: all in one memory
    spread: Spread | None = None

    @property
    def gpu_layers(self) -> int:
        """Layers on cards, the output counted; 0 where memory is one."""
        return self.home.layers - len(self.spread.ram) if self.home and self.spread else 0

    @property
    def cpu_moe_layers(self) -> int:
        """Layers on cards whose experts lie in RAM."""
        return max(0, self.spread.experts.stop - self.spread.ram.stop) if self.spread else 0

    @cached_property
    def headroom_bytes(self) -> int:
        """Of the fullest device whose memory is known."""
        rooms = [use.usable_bytes - use.need_bytes for use in self.devices if use.usable_bytes is not None]
        return min(rooms)

    @property
    def fits(self) -> bool:
        return self.headroom_bytes >= 0


@dataclass(frozen=True)
class Spreader:
    """A format's weights and the devices they may lie on."""

    model: Model
    weights_bytes: int
    by_layer: Callable[[], ByLayer]
    request: Request
    budget: Budget
    engines: Engines

    def ways(self, context: int) -> Iterator[Way]:
        """Every way worth a look with so long a context, fitting or not; none where the engine can't."""
        if self.engines.gpu and self.budget.unified and self.request.gpu_layers != 0:
            yield self._whole(context, self.budget.unified, gpu=True)
        if self.engines.cpu and self.budget.ram and not self._forced_onto_gpu():
            yield self._whole(context, self.budget.ram, gpu=False)
        if self._cards and self.request.gpu_layers != 0:
            yield from self._on_cards(context)

    def longest(self) -> int:
        """The longest context, a multiple of 256 cells, that some way holds; 0 where none does."""
        if not self.budget.cards:
            usable = max((way.devices[0].usable_bytes or 0 for way in self.ways(CELL_PADDING)), default=0)
            return max_context(self.model, self.weights_bytes, self.request, usable, self._buffers)
        least, most = (context // CELL_PADDING for context in self._bounds())
        if least == most or self._holds(most * CELL_PADDING):
            return most * CELL_PADDING
        steps = range(least + 1, most)
        return CELL_PADDING * (
            least + bisect_left(steps, True, key=lambda n: not self._holds(n * CELL_PADDING))
        )

    def _bounds(self) -> tuple[int, int]:
        """A context that RAM alone holds, and one beyond which the cache alone is too large for all memories.

        Both are quick to find, where each context between them asks how layers are best spread.
        """
        ram, longest = self.budget.ram, most_cells(self.model, self.request)
        if ram is None:
            return 0, self._longest_on_cards(longest)
        room = ram.usable_bytes + sum(self._usable)
        most = longest_cache(self.model, self.weights_bytes, self.request, room)
        if self.engines.cpu is None or self._forced_onto_gpu():
            return 0, most
        return self._longest_in(ram), most

    def _longest_in(self, pool: Pool) -> int:
        return max_context(self.model, self.weights_bytes, self.request, pool.usable_bytes, self._buffers)

    @cached_property
    def _buffers(self) -> tuple[Buffer, ...]:
        """The engine's own, where its profile knows them."""
        return self.engines.any.memory.buffers

    def _longest_on_cards(self, longest: int) -> int:
        """Where nothing is known of the RAM, in which the tables and what is asked for may lie."""
        if self.request.gpu_layers is not None or self.request.cpu_moe_layers is not None:
            return longest
        held = self.by_layer()
        return longest_cache(self.model, held.dense[-1] + held.experts[-1], self.request, sum(self._usable))

    def _holds(self, context: int) -> bool:
        return any(way.fits for way in self.ways(context))

    @cached_property
    def _usable(self) -> tuple[int, ...]:
        """Of each card."""
        return tuple(card.usable_bytes for card in self._cards)

    @cached_property
    def _shares(self) -> Shares:
        return shares_of(self._cards)

    @cached_property
    def _cards(self) -> tuple[Pool, ...]:
        """The cards the engine may use, with what it may use of them."""
        if self.engines.gpu is None:
            return ()
        share = self.engines.gpu.memory.share
        if share is None:
            return self.budget.cards
        return tuple(
            Pool(card.name, card.kind, card.memory_bytes, card.memory_bytes - int(share * card.memory_bytes))
            for card in self.budget.cards
        )

    def _forced_onto_gpu(self) -> bool:
        wanted = bool(self.request.gpu_layers or self.request.cpu_moe_layers)
        return wanted and self.engines.gpu is not None

    def _whole(self, context: int, pool: Pool, *, gpu: bool) -> Way:
        """All in one memory."""
        need = footprint(self.model, self.weights_bytes, self.request, context, self._buffers).total_bytes
        return Way((DeviceUse(pool.name, pool.kind, pool.usable_bytes, need),), gpu)

    def _on_cards(self, context: int) -> Iterator[Way]:
        """All on the cards, and what lies between that and all in RAM."""
        on_cards = self.engines.any.memory.tables_on_cards
        choices = choices_of(self.request, self._buffers)
        home = Residence(self.model, self.by_layer(), context, choices, on_cards)
        for spread in self._spreads(home):
            yield self._way(home, spread)

    def _spreads(self, home: Residence) -> Iterator[Spread]:
        every, asked = home.layers, self.request
        able = self.engines.any.memory.splits
        splits = able and self.engines.cpu is not None and self.budget.ram is not None
        layers = every if asked.gpu_layers is None else asked.gpu_layers
        if not able and (layers < every or asked.cpu_moe_layers):
            return
        if asked.gpu_layers is not None or asked.cpu_moe_layers is not None or not splits:
            yield spread_over(self._shares, every, layers, asked.cpu_moe_layers or 0)
            return
        whole = spread_over(self._shares, every, every, 0)
        yield whole
        if self._over(home, whole):
            yield from self._between(home)

    def _between(self, home: Residence) -> Iterator[Spread]:
        """As much as the cards hold; experts in RAM first; as little as RAM leaves to the cards."""
        every, ram = home.layers, self.budget.ram
        assert ram is not None
        few, room, shares = range(1, every), ram.usable_bytes, self._shares
        most = bisect_left(few, True, key=lambda n: self._over(home, spread_over(shares, every, n, 0)))
        fullest = spread_over(shares, every, most, 0)
        if most:
            yield fullest
        yield from self._experts_first(home)
        if not most or home.ram_bytes(fullest) > room:
            return
        few = range(1, most)
        least = bisect_left(few, True, key=lambda n: home.ram_bytes(spread_over(shares, every, n, 0)) <= room)
        if few[least:]:
            yield spread_over(shares, every, few[least], 0)

    def _experts_first(self, home: Residence) -> Iterator[Spread]:
        """All layers on the cards, with the experts of as few layers in RAM as need be."""
        every, inside = home.layers, home.layers - 1
        if not home.weights.experts[-1]:
            return
        least = bisect_left(
            range(inside),
            True,
            key=lambda n: not self._over(home, spread_over(self._shares, every, every, n + 1)),
        )
        if least < inside:
            yield spread_over(self._shares, every, every, least + 1)

    def _over(self, home: Residence, spread: Spread) -> bool:
        """Whether a card would hold more than it can."""
        return any(home.card_bytes(spread, card) > usable for card, usable in enumerate(self._usable))

    def _way(self, home: Residence, spread: Spread) -> Way:
        ram = self.budget.ram
        host = DeviceUse(RAM, "ram", ram.usable_bytes if ram else None, home.ram_bytes(spread))
        uses = (
            DeviceUse(card.name, "gpu", card.usable_bytes, home.card_bytes(spread, n))
            for n, card in enumerate(self._cards)
        )
        return Way((*uses, host), gpu=True, home=home, spread=spread)


def shares_of(cards: Iterable[Pool]) -> Shares:
    return tuple(accumulate(card.usable_bytes for card in cards))


def spread_over(shares: Shares, layers: int, on_cards: int, cpu_moe: int) -> Spread:
    """The last layers on the cards in proportion to their memory, the others and some experts in RAM."""
    start, whole = layers - on_cards, shares[-1] or 1
    ends = [start - (-size * on_cards // whole) for size in shares]
    spans = tuple(map(range, (start, *ends), ends))
    return Spread(range(start), range(max(start, cpu_moe)), spans)
