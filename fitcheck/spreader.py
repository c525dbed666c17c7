"""How layers are spread over the seats of a machine: every way worth a look, and the longest context.

Pure, like the planner. Layers go as llama.cpp puts them: cards take the last
ones, in the order of the cards and in proportion to their memory, RAM the
first ones and the embedding table. What cards hold is found by sums over the
first n layers. Engines that split within matrices use as many cards as divide
them, each for an equal part.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from fitcheck.footprint.compute import runtime_bytes
from fitcheck.footprint.kv_cache import CELL_PADDING
from fitcheck.footprint.layers import ByLayer
from fitcheck.footprint.memory import Footprint, choices_of, contexts, footprint, most_cells
from fitcheck.footprint.residence import Residence, Spread
from fitcheck.footprint.shards import Shard, Sharded, most_cards
from fitcheck.placement import Seating, Way, spread_over
from fitcheck.schema.model import Model


class Held(NamedTuple):
    """A format's weights."""

    weights_bytes: int
    by_layer: Callable[[], ByLayer]
    shard: Callable[[int], Shard]  # of one of so many cards


class Spreader:
    """A model and the devices that it may lie on, whatever its format."""

    def __init__(self, model: Model, on: Seating) -> None:
        self.model, self.on = model, on
        self._choices = choices_of(on.request, on.buffers)
        self._contexts, self._cells = contexts(model, self._choices), most_cells(model, on.request)
        self._beside: dict[int, Footprint] = {}

    def beside(self, context: int) -> Footprint:
        """What so long a context takes beside the weights, all in one memory."""
        if context not in self._beside:
            self._beside[context] = footprint(self.model, 0, self.on.request, context, self.on.buffers)
        return self._beside[context]

    def ways(self, held: Held, context: int) -> Iterator[Way]:
        """Every way worth a look with so long a context, fitting or not; none where the engine can't."""
        if self.on.alone:
            need = held.weights_bytes + self.beside(context).total_bytes
            for seat, gpu in self.on.alone:
                yield Way((seat,), (need,), gpu)
        if self._shares:
            yield from self._sharings(held, context)
        elif self.on.onto_cards:
            home = self._home(held, context)
            for spread in self._spreads(home):
                needs = [home.card_bytes(spread, card) for card in range(len(self.on.cards))]
                yield Way(self.on.seats, (*needs, home.ram_bytes(spread)), True, home=home, spread=spread)

    @property
    def _shares(self) -> bool:
        """Whether the engine splits within matrices rather than between layers."""
        return self.on.onto_cards and self.on.shares_layers

    def _sharings(self, held: Held, context: int) -> Iterator[Way]:
        """The one way for engines that split within matrices; none where some layers are to stay in RAM."""
        asked, seats = self.on.request, self.on.seats
        if asked.gpu_layers not in (None, held.by_layer().layers) or asked.cpu_moe_layers:
            return
        cards = most_cards(self.model, len(self.on.cards))
        parts = Sharded(self.model, held.shard(cards), context, self._choices)
        needs = (*[parts.card_bytes] * cards, parts.ram_bytes)
        yield Way((*seats[:cards], seats[-1]), needs, gpu=True, sharded=parts)

    def longest(self, held: Held) -> int:
        """The longest context, a multiple of 256 cells, that some way holds; 0 where none does."""
        if not self.on.onto_cards:
            usable = max((seat.usable_bytes or 0 for seat, _ in self.on.alone), default=0)
            return self._longest_in(held, usable)
        least, most = (context // CELL_PADDING for context in self._bounds(held))
        if least == most or self._spread_holds(held, most):
            return most * CELL_PADDING
        # All steps, so that every format tries the same ones first.
        steps = range(1, self._cells // CELL_PADDING)
        return CELL_PADDING * bisect_left(
            steps,
            True,
            key=lambda step: step >= most or (step > least and not self._spread_holds(held, step)),
        )

    def _bounds(self, held: Held) -> tuple[int, int]:
        """A context that RAM alone holds, and one beyond which the cache alone is too large for all memories.

        Both are quick to find, where each context between them asks how layers are best spread.
        """
        ram = self.on.ram
        if ram is None:
            return 0, self._longest_on_cards(held)
        room = ram.usable_bytes + sum(self.on.usable)
        most = self._contexts.longest_cache(self._cells, room - held.weights_bytes)
        if not self.on.ram_holds_all:
            return 0, most
        return self._longest_in(held, ram.usable_bytes), most

    def _longest_in(self, held: Held, usable_bytes: int) -> int:
        free = usable_bytes - held.weights_bytes - runtime_bytes(self.model)
        return self._contexts.longest(self._cells, free)

    def _longest_on_cards(self, held: Held) -> int:
        """Where nothing is known of the RAM, in which the tables and what is asked for may lie."""
        request = self.on.request
        if request.gpu_layers is not None or request.cpu_moe_layers is not None:
            return self._cells
        layers = held.by_layer()
        room = sum(self.on.usable) - layers.dense[-1] - layers.experts[-1]
        return self._contexts.longest_cache(self._cells, room)

    def _spread_holds(self, held: Held, steps: int) -> bool:
        """Whether cards and RAM together hold a context of so many steps, in some way or other."""
        if self._shares:
            return any(way.fits for way in self._sharings(held, steps * CELL_PADDING))
        home = self._home(held, steps * CELL_PADDING)
        if not self._is_free:
            return any(self._fits(home, spread) for spread in self._spreads(home))
        rooms = self._rooms(home)
        return (
            self._fits(home, self._over_cards(home, home.layers))
            or max(1, self._least(home)) <= self._most(home, rooms)
            or any(self._in_ram(home, spread) for spread in self._experts_first(home, rooms))
        )

    @property
    def _is_free(self) -> bool:
        """Whether as many layers may go to cards as is best."""
        asked = self.on.request
        return self.on.splits and asked.gpu_layers is None and asked.cpu_moe_layers is None

    def _home(self, held: Held, context: int) -> Residence:
        on_cards = self.on.engines.memory.tables_on_cards
        return Residence(self.model, held.by_layer(), context, self._choices, on_cards)

    def _spreads(self, home: Residence) -> Iterator[Spread]:
        """All on the cards, and what lies between that and all in RAM."""
        every, asked = home.layers, self.on.request
        if self._is_free:
            whole = self._over_cards(home, every)
            yield whole
            if self._over(home, whole):
                yield from self._between(home)
            return
        layers = every if asked.gpu_layers is None else asked.gpu_layers
        if self.on.engines.memory.splits or (layers == every and not asked.cpu_moe_layers):
            yield self._over_cards(home, layers, asked.cpu_moe_layers or 0)

    def _between(self, home: Residence) -> Iterator[Spread]:
        """As much as the cards hold; experts in RAM first; as little as RAM leaves to the cards."""
        rooms = self._rooms(home)
        most = self._most(home, rooms)
        if most:
            yield self._over_cards(home, most)
        yield from self._experts_first(home, rooms)
        least = max(1, self._least(home))
        if least < most:
            yield self._over_cards(home, least)

    def _rooms(self, home: Residence) -> list[int]:
        """What each card has for layers, where RAM has others."""
        cards = len(self.on.usable)
        return [usable - home.card_beside(card, cards) for card, usable in enumerate(self.on.usable)]

    def _most(self, home: Residence, rooms: Sequence[int]) -> int:
        """The most layers that cards hold with all that is theirs, short of all; 0 where they hold none."""
        few = home.layers - 1
        if len(rooms) == 1:
            start = bisect_left(range(few + 2), home.held(few + 1) - rooms[0], key=home.held)
            return max(0, min(few, few + 1 - start))
        return bisect_left(range(1, few + 1), True, key=lambda n: self._overfull(home, rooms, n))

    def _overfull(self, home: Residence, rooms: Sequence[int], layers: int) -> bool:
        """Whether the last so many layers are more than a card has room for."""
        spread = self._over_cards(home, layers)
        before = home.held(spread.in_ram)
        for room, stop in zip(rooms, spread.ends, strict=True):
            after = home.held(stop)
            if after - before > room:
                return True
            before = after
        return False

    def _least(self, home: Residence) -> int:
        """The fewest layers on cards that leave RAM what it can hold; as many as there are where it can't."""
        if self.on.ram is None:
            return 0
        room = self.on.ram.usable_bytes - home.ram_beside()
        in_ram = bisect_right(range(home.layers + 1), room, key=home.held) - 1
        return home.layers - max(in_ram, 0)

    def _experts_first(self, home: Residence, rooms: Sequence[int]) -> Iterator[Spread]:
        """All layers on the cards, with the experts of as few layers in RAM as need be."""
        every, experts = home.layers, home.weights.experts
        if not experts[-1]:
            return
        start, least = 0, 1
        for room, stop in zip(rooms, self._over_cards(home, every).ends, strict=True):
            over = home.held(stop) - home.held(start) - room
            if over > experts[stop] - experts[start]:
                return
            if over > 0:
                least = max(least, bisect_left(experts, experts[start] + over))
            start = stop
        if least < every:
            yield self._over_cards(home, every, least)

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
