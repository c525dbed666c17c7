"""Which bytes of a model lie on which device, and of what kind they are."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from fitcheck.footprint.compute import runtime_bytes
from fitcheck.footprint.kv_cache import state_bytes
from fitcheck.footprint.layers import ByLayer, cache_by_layer, span, state_by_layer
from fitcheck.footprint.memory import Choices, Footprint
from fitcheck.footprint.offload import card_buffer, host_buffer, output_bytes
from fitcheck.footprint.repack import AS_IT_LIES, Repacked
from fitcheck.schema.model import Model
from fitcheck.schema.plan import RAM, Holding, Kind, MemoryItem


class Spread(NamedTuple):
    """Layers by device. The output counts as the layer after the last; RAM holds the first ones.

    ``cards`` are spans of layers in the cards' order. Of ``experts`` the
    stacked experts lie in RAM, whatever holds the rest of those layers.
    """

    ram: range
    experts: range
    cards: tuple[range, ...] = ()


@dataclass(frozen=True)
class Residence:
    """A model's weights in a format with one context, to be spread over cards and RAM."""

    model: Model
    weights: ByLayer
    context: int
    choices: Choices
    tables_on_cards: bool = False  # the embedding table goes with the first layer

    @property
    def layers(self) -> int:
        """The output counted."""
        return self.weights.layers

    def ram_bytes(self, spread: Spread) -> int:
        return self.ram_weights(spread) + self._fixed + span(self._cache, spread.ram) + self._host(spread)

    def ram_weights(self, spread: Spread) -> int:
        """Weights in RAM: its layers, experts, and the table."""
        held = span(self.weights.dense, spread.ram) + span(self.weights.experts, spread.experts)
        return held + (0 if self.tables_on_cards else self.weights.tables)

    def card_bytes(self, spread: Spread, card: int) -> int:
        held = self.card_weights(spread, card) + span(self._cache, spread.cards[card])
        return held + self._card_buffer(spread, card)

    def card_weights(self, spread: Spread, card: int) -> int:
        """Weights on a card. A tied table is copied for the output, unless the same card holds it."""
        layers, sums = spread.cards[card], self.weights
        held = span(sums.dense, layers)
        if (first := max(layers.start, spread.experts.stop)) < layers.stop:
            held += sums.experts[layers.stop] - sums.experts[first]
        if self.tables_on_cards and card == 0:
            held += sums.tables - (sums.copied if len(spread.cards) == 1 else 0)
        return held

    def items(self, spread: Spread, names: tuple[str, ...], *, mapped: bool) -> tuple[MemoryItem, ...]:
        """Every item, device by device; ``names`` are the cards', whose weights were read through the RAM."""
        found = list(ram_weight_items(self.ram_weights(spread), mapped=mapped))
        found += self._working_items(RAM, spread.ram, self._host(spread))
        found += host_items(self.model, self.choices.slots)
        for card, name in enumerate(names):
            size = self.card_weights(spread, card)
            found.append(_anonymous("weights", name, size))
            found += self._working_items(name, spread.cards[card], self._card_buffer(spread, card))
            if mapped:
                found.append(MemoryItem("weights", RAM, size, "mapped", resident=False))
        return tuple(item for item in found if item.bytes)

    def _working_items(self, device: str, layers: range, buffer: int) -> Iterator[MemoryItem]:
        state = span(state_by_layer(self.model, self.choices.slots), layers)
        return working_items(device, span(self._cache, layers) - state, state, buffer)

    @cached_property
    def _cache(self) -> tuple[int, ...]:
        return cache_by_layer(self.model, self.context, self.choices)

    @cached_property
    def _fixed(self) -> int:
        """What lies in RAM wherever the layers are."""
        return _host_bytes(self.model, self.choices.slots)

    @cached_property
    def _hosts(self) -> tuple[int, int]:
        return _host_buffers(self.model, self.context, self.choices)

    @cached_property
    def _buffers(self) -> tuple[int, int, int, int]:
        return _card_buffers(self.model, self.context, self.choices, self.weights.largest)

    def _host(self, spread: Spread) -> int:
        return self._hosts[_pipelined(spread)]

    def _card_buffer(self, spread: Spread, card: int) -> int:
        if _pipelined(spread):
            return self._buffers[2 if card == len(spread.cards) - 1 else 3]
        return self._buffers[1 if spread.experts else 0]


@lru_cache(maxsize=4096)
def _host_buffers(model: Model, context: int, choices: Choices) -> tuple[int, int]:
    """The buffer in RAM, of cards that wait for each other and of those that don't."""
    asked = (model, context, choices)
    return host_buffer(*asked), host_buffer(*asked, pipelined=True)


@lru_cache(maxsize=65536)
def _card_buffers(model: Model, context: int, choices: Choices, largest: int) -> tuple[int, int, int, int]:
    """A card's buffer: with all layers on it, with some in RAM; in a pipeline as the last and before."""
    asked = (model, context, choices)
    return (
        card_buffer(*asked),
        card_buffer(*asked, staged=largest),
        card_buffer(*asked, pipelined=True),
        card_buffer(*asked, pipelined=True, last=False),
    )


def _pipelined(spread: Spread) -> bool:
    """Cards that hold all layers work on several micro-batches at once."""
    return len(spread.cards) > 1 and not spread.experts


def items_in_one(
    model: Model, need: Footprint, slots: int, *, mapped: bool, repacked: Repacked = AS_IT_LIES
) -> tuple[MemoryItem, ...]:
    """Every item where all lies in one memory; some of the weights are rearranged."""
    state = state_bytes(model, slots)
    buffer = need.compute_bytes - output_bytes(model, slots)
    found = (
        *ram_weight_items(need.weights_bytes, mapped=mapped, repacked=repacked),
        *working_items(RAM, need.kv_bytes - state, state, buffer),
        *host_items(model, slots),
    )
    return tuple(item for item in found if item.bytes)


def ram_weight_items(size: int, *, mapped: bool, repacked: Repacked = AS_IT_LIES) -> Iterator[MemoryItem]:
    """Weights in RAM. Rearranged copies are read instead of the file's pages, which loading touched."""
    kind: Kind = "mapped" if mapped else "anonymous"
    yield MemoryItem("weights", RAM, size - repacked.originals, kind, resident=True)
    yield _anonymous("repacked copy", RAM, repacked.copies)
    if mapped:
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


def _host_bytes(model: Model, slots: int) -> int:
    return sum(item.bytes for item in host_items(model, slots))


def _anonymous(what: Holding, device: str, size: int) -> MemoryItem:
    return MemoryItem(what, device, size, "anonymous", resident=True)
