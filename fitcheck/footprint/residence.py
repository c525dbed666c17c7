"""Which bytes of a model lie on which device, and of what kind they are."""

from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import NamedTuple

from fitcheck.footprint.compute import runtime_bytes
from fitcheck.footprint.kv_cache import state_bytes
from fitcheck.footprint.layers import ByLayer, cache_by_layer, span, state_by_layer
from fitcheck.footprint.memory import Choices, Footprint
from fitcheck.footprint.offload import CardBuffers, card_buffers, host_buffer, output_bytes
from fitcheck.footprint.repack import AS_IT_LIES, Repacked
from fitcheck.schema.model import Model
from fitcheck.schema.plan import RAM, Holding, Kind, MemoryItem


class Spread(NamedTuple):
    """Layers by device. The output counts as the layer after the last; RAM holds the first ones.

    Each card holds those from where the one before it ends. Of the first layers,
    some more of which may be on cards, the stacked experts lie in RAM.
    """

    in_ram: int
    experts_in_ram: int
    ends: tuple[int, ...] = ()

    @property
    def ram(self) -> range:
        return range(self.in_ram)

    @property
    def experts(self) -> range:
        return range(self.experts_in_ram)

    @property
    def cards(self) -> tuple[range, ...]:
        """Spans of layers, in the cards' order."""
        return tuple(map(range, (self.in_ram, *self.ends), self.ends))

    @property
    def within(self) -> tuple[int, ...]:
        """Layers of each card, the output left out."""
        output = self.ends[-1] - 1 if self.ends else 0
        return tuple(min(span.stop, output) - min(span.start, output) for span in self.cards)

    @property
    def pipelined(self) -> bool:
        """Cards that hold all layers work on several micro-batches at once."""
        return len(self.ends) > 1 and not self.experts_in_ram


@lru_cache(maxsize=1024)
class Workspace:
    """What a context takes beside the weights, whatever their format and wherever the layers lie."""

    def __init__(self, model: Model, context: int, choices: Choices) -> None:
        self.cache = cache_by_layer(model, context, choices)  # of the first n layers
        self.fixed = sum(item.bytes for item in host_items(model, choices.slots))
        self._asked = (model, context, choices)

    @cached_property
    def cards(self) -> CardBuffers:
        return card_buffers(*self._asked)

    @cached_property
    def host(self) -> int:
        """The buffer in RAM."""
        return host_buffer(*self._asked)

    @cached_property
    def host_pipelined(self) -> int:
        """The same, of cards that don't wait for each other."""
        return host_buffer(*self._asked, pipelined=True)


class Residence:
    """A model's weights in a format with one context, to be spread over cards and RAM."""

    def __init__(
        self,
        model: Model,
        weights: ByLayer,
        context: int,
        choices: Choices,
        tables_on_cards: bool = False,
    ) -> None:
        self.model, self.weights, self.slots = model, weights, choices.slots
        self.tables_on_cards = tables_on_cards  # the embedding table goes with the first layer
        self.layers = weights.layers  # the output counted
        self._work = Workspace(model, context, choices)

    def held(self, layers: int) -> int:
        """Weights and cache of the first so many layers."""
        return self.weights.dense[layers] + self.weights.experts[layers] + self._work.cache[layers]

    def ram_beside(self) -> int:
        """What RAM takes beside the layers in it, where cards have others."""
        return self._work.fixed + self._work.host + (0 if self.tables_on_cards else self.weights.tables)

    def card_beside(self, card: int, cards: int) -> int:
        """What one of so many cards takes beside its layers, where RAM has others."""
        buffer = self._work.cards.on(pipelined=False, last=card == cards - 1, staged=self.weights.largest)
        return buffer + self._tables_on(card, cards)

    def ram_bytes(self, spread: Spread) -> int:
        work = self._work
        return self.ram_weights(spread) + work.fixed + work.cache[spread.in_ram] + self._host(spread)

    def ram_weights(self, spread: Spread) -> int:
        """Weights in RAM: its layers, experts, and the table."""
        sums = self.weights
        held = sums.dense[spread.in_ram] + sums.experts[spread.experts_in_ram]
        return held if self.tables_on_cards else held + sums.tables

    def card_bytes(self, spread: Spread, card: int) -> int:
        start, stop = spread.ends[card - 1] if card else spread.in_ram, spread.ends[card]
        cached = self._work.cache[stop] - self._work.cache[start]
        return self.card_weights(spread, card) + cached + self._card_buffer(spread, card)

    def card_weights(self, spread: Spread, card: int) -> int:
        """Weights on a card. A tied table is copied for the output, unless the same card holds it."""
        start, stop = spread.ends[card - 1] if card else spread.in_ram, spread.ends[card]
        sums, in_ram = self.weights, spread.experts_in_ram
        held = sums.dense[stop] - sums.dense[start]
        if in_ram < stop:
            held += sums.experts[stop] - sums.experts[max(start, in_ram)]
        return held + self._tables_on(card, len(spread.ends))

    def _tables_on(self, card: int, cards: int) -> int:
        """They go with the first layer."""
        if card or not self.tables_on_cards:
            return 0
        return self.weights.tables - (self.weights.copied if cards == 1 else 0)

    def items(self, spread: Spread, names: tuple[str, ...], *, mapped: bool) -> tuple[MemoryItem, ...]:
        """Every item, device by device; ``names`` are the cards', whose weights were read through the RAM."""
        found = list(weight_items(self.ram_weights(spread), mapped=mapped))
        found += self._working_items(RAM, spread.ram, self._host(spread))
        found += host_items(self.model, self.slots)
        for card, name in enumerate(names):
            size = self.card_weights(spread, card)
            found.append(_anonymous("weights", name, size))
            found += self._working_items(name, spread.cards[card], self._card_buffer(spread, card))
            if mapped:
                found.append(MemoryItem("weights", RAM, size, "mapped", resident=False))
        return tuple(item for item in found if item.bytes)

    def _working_items(self, device: str, layers: range, buffer: int) -> Iterator[MemoryItem]:
        state = span(state_by_layer(self.model, self.slots), layers)
        return working_items(device, span(self._work.cache, layers) - state, state, buffer)

    def _host(self, spread: Spread) -> int:
        return self._work.host_pipelined if spread.pipelined else self._work.host

    def _card_buffer(self, spread: Spread, card: int) -> int:
        staged = self.weights.largest if spread.experts_in_ram else 0
        last = card == len(spread.ends) - 1
        return self._work.cards.on(pipelined=spread.pipelined, last=last, staged=staged)


@lru_cache(maxsize=1024)
def items_beside(model: Model, need: Footprint, slots: int) -> tuple[MemoryItem, ...]:
    """Every item but the weights, where all lies in one memory: the same for every format."""
    state = state_bytes(model, slots)
    buffer = need.compute_bytes - output_bytes(model, slots)
    found = (*working_items(RAM, need.kv_bytes - state, state, buffer), *host_items(model, slots))
    return tuple(item for item in found if item.bytes)


def weight_items(size: int, *, mapped: bool, repacked: Repacked = AS_IT_LIES) -> Iterator[MemoryItem]:
    """Weights in RAM. Rearranged copies are read instead of the file's pages, which loading touched."""
    kind: Kind = "mapped" if mapped else "anonymous"
    yield MemoryItem("weights", RAM, size - repacked.originals, kind, resident=True)
    if repacked.copies:
        yield _anonymous("repacked copy", RAM, repacked.copies)
    if mapped and repacked.originals:
        yield MemoryItem("weights", RAM, repacked.originals, "mapped", resident=False)


def working_items(device: str, cache: int, state: int, buffer: int) -> Iterator[MemoryItem]:
    yield _anonymous("kv cache", device, cache)
    yield _anonymous("recurrent state", device, state)
    yield _anonymous("compute buffer", device, buffer)


@lru_cache(maxsize=1024)
def host_items(model: Model, slots: int) -> tuple[MemoryItem, MemoryItem]:
    """What lies in RAM wherever the layers are."""
    runtime = _anonymous("runtime", RAM, runtime_bytes(model))
    return _anonymous("output buffer", RAM, output_bytes(model, slots)), runtime


@lru_cache(maxsize=512)  # most are the same for every format
def _anonymous(what: Holding, device: str, size: int) -> MemoryItem:
    return MemoryItem(what, device, size, "anonymous", resident=True)
