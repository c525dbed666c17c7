"""Which bytes of a model lie on which device, and of what kind they are."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from fitcheck.footprint.compute import runtime_bytes
from fitcheck.footprint.kv_cache import state_bytes
from fitcheck.footprint.layers import ByLayer, cache_by_layer, span, state_by_layer
from fitcheck.footprint.memory import Choices, Footprint
from fitcheck.footprint.offload import card_buffer, cpu_buffer, host_buffer, output_bytes
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


@dataclass(frozen=True, slots=True)
class Residence:
    """A model's weights in a format with one context, to be spread over devices."""

    model: Model
    weights: ByLayer
    context: int
    choices: Choices
    tables_on_cards: bool = False  # the embedding table goes with the first layer

    @property
    def layers(self) -> int:
        """As llama.cpp counts them: the output is one."""
        return self.weights.layers + 1

    def ram_bytes(self, spread: Spread) -> int:
        return self.ram_weights(spread) + self.ram_working_bytes(spread)

    def ram_weights(self, spread: Spread) -> int:
        """Weights in RAM; a tied table lies there once, however many devices use it."""
        sums, layers = self.weights, _of_file(spread.ram, self.weights)
        held = span(sums.dense, layers) + span(sums.experts, _of_file(spread.experts, sums))
        if not (self.tables_on_cards and spread.cards):
            held += sums.tables
        return held + (sums.output - sums.copied if len(spread.ram) == self.layers else 0)

    def ram_working_bytes(self, spread: Spread) -> int:
        """What is written while running: cache, buffers, and the engine itself."""
        slots = self.choices.slots
        return (
            self._cache(spread.ram)
            + self._ram_buffer(spread)
            + output_bytes(self.model, slots)
            + runtime_bytes(self.model)
        )

    def card_bytes(self, spread: Spread, card: int) -> int:
        layers = spread.cards[card]
        return self.card_weights(spread, card) + self._cache(layers) + self._card_buffer(spread, card)

    def card_weights(self, spread: Spread, card: int) -> int:
        layers, sums = spread.cards[card], self.weights
        held = sums.weights(_of_file(layers, sums), spread.experts)
        if layers.stop == self.layers:
            held += sums.output
        if self.tables_on_cards and card == 0:
            held += sums.tables - (sums.copied if len(spread.cards) == 1 else 0)
        return held

    def items(self, spread: Spread, names: tuple[str, ...], *, mapped: bool) -> tuple[MemoryItem, ...]:
        """Every item, device by device; ``names`` are the cards', whose weights were read through the RAM."""
        found = list(ram_weight_items(self.ram_weights(spread), mapped=mapped))
        found += self._working_items(RAM, spread.ram, self._ram_buffer(spread))
        found += host_items(self.model, self.choices.slots)
        for card, name in enumerate(names):
            size = self.card_weights(spread, card)
            found.append(_anonymous("weights", name, size))
            found += self._working_items(name, spread.cards[card], self._card_buffer(spread, card))
            if mapped:
                found.append(MemoryItem("weights", RAM, size, "mapped", resident=False))
        return tuple(item for item in found if item.bytes)

    def _working_items(self, device: str, layers: range, buffer: int) -> Iterator[MemoryItem]:
        state = span(state_by_layer(self.model, self.choices.slots), _of_file(layers, self.weights))
        return working_items(device, self._cache(layers) - state, state, buffer)

    def _cache(self, layers: range) -> int:
        sums = cache_by_layer(self.model, self.context, self.choices)
        return span(sums, _of_file(layers, self.weights))

    def _ram_buffer(self, spread: Spread) -> int:
        if not spread.cards:
            return cpu_buffer(self.model, self.context, self.choices)
        return host_buffer(self.model, self.context, self.choices, pipelined=self._pipelined(spread))

    def _card_buffer(self, spread: Spread, card: int) -> int:
        held_back = bool(spread.ram or spread.experts)
        return card_buffer(
            self.model,
            self.context,
            self.choices,
            staged=self.weights.largest if held_back else 0,
            pipelined=self._pipelined(spread),
            last=card == len(spread.cards) - 1,
        )

    def _pipelined(self, spread: Spread) -> bool:
        return len(spread.cards) > 1 and not spread.ram and not spread.experts


def items_in_one(
    model: Model, need: Footprint, slots: int, *, mapped: bool, repacked: int
) -> tuple[MemoryItem, ...]:
    """Every item where all lies in one memory; ``repacked`` bytes of the weights are rearranged."""
    state = state_bytes(model, slots)
    buffer = need.compute_bytes - output_bytes(model, slots)
    found = (
        *ram_weight_items(need.weights_bytes, mapped=mapped, repacked=repacked),
        *working_items(RAM, need.kv_bytes - state, state, buffer),
        *host_items(model, slots),
    )
    return tuple(item for item in found if item.bytes)


def ram_weight_items(size: int, *, mapped: bool, repacked: int = 0) -> Iterator[MemoryItem]:
    """Weights in RAM. Rearranged copies are read instead of the file's pages, which loading touched."""
    kind: Kind = "mapped" if mapped else "anonymous"
    yield MemoryItem("weights", RAM, size - repacked, kind, resident=True)
    yield _anonymous("repacked copy", RAM, repacked)
    if mapped:
        yield MemoryItem("weights", RAM, repacked, "mapped", resident=False)


def working_items(device: str, cache: int, state: int, buffer: int) -> Iterator[MemoryItem]:
    yield _anonymous("kv cache", device, cache)
    yield _anonymous("recurrent state", device, state)
    yield _anonymous("compute buffer", device, buffer)


def host_items(model: Model, slots: int) -> Iterator[MemoryItem]:
    """What lies in RAM wherever the layers are."""
    yield _anonymous("output buffer", RAM, output_bytes(model, slots))
    yield _anonymous("runtime", RAM, runtime_bytes(model))


def _of_file(layers: range, weights: ByLayer) -> range:
    """Without the output, which is no layer of the file."""
    return range(min(layers.start, weights.layers), min(layers.stop, weights.layers))


def _anonymous(what: Holding, device: str, size: int) -> MemoryItem:
    return MemoryItem(what, device, size, "anonymous", resident=True)
