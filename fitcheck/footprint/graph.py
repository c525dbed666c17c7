"""The graph of one micro-batch as llama.cpp builds it: what it takes and gives back, in order.

After llama-graph.cpp and src/models/*.cpp of b11434. Equal layers repeat: two
of each kind and the last stand for all. Where families differ in ways no
field of the shape tells, a set below names their architectures.
"""

from collections import Counter
from functools import lru_cache
from typing import NamedTuple

from fitcheck.footprint.arena import Size, Tape
from fitcheck.footprint.mechanisms import Cache, describe
from fitcheck.footprint.schedules import run
from fitcheck.schema.model import (
    GatedDeltaNet,
    Layer,
    Model,
)

# A layer norm needs a tensor of its own where an RMS norm works in place.
_LAYER_NORM = frozenset({"command-r", "cohere2"})
# Rows of wanted outputs are picked after the last norm, not in the last layer.
_PICKED_LATE = frozenset({"gemma4", "nemotron_h", "nemotron_h_moe", "qwen35", "qwen35moe", "qwen3next"})
# Norms only after attention and feed-forward, none before.
_NORMED_AFTER = frozenset({"olmo2", "exaone4"})
# The sum of a residual and a part is kept in the residual's place.
_IN_RESIDUAL = frozenset({"jamba", "lfm2", "lfm2moe"})
_FED_IN_RESIDUAL = _IN_RESIDUAL | {"phi3"}
# Attention without rotary positions: everywhere, or where it has no window.
_UNROTATED = frozenset({"jamba", "nemotron_h", "nemotron_h_moe"})
_ROTATED_IN_WINDOWS = frozenset({"cohere2"})


_VALUES_TURNED = 64


def turned_together(cache: Cache) -> int:
    """Elements of a key that a quantized cache turns together: as many 64s, doubled, as divide a head."""
    width, together = cache.key // cache.heads, 64
    if width % together:
        return 0
    while width % (2 * together) == 0:
        together *= 2
    return together


class Graph(NamedTuple):
    """What a Tape recorded: moves of tensors, and the sizes they name by number."""

    moves: tuple[tuple[int, int], ...]
    sizes: tuple[Size, ...]
    tensors: int


@lru_cache(maxsize=256)
def graph(model: Model, flash: bool, quantized: bool) -> Graph:
    """The graph that is reserved for a micro-batch. Its last move takes the logits."""
    builder = _Builder(model, flash, quantized)
    builder.build()
    tape = builder.tape
    return Graph(tuple(tape.moves), tuple(tape.sizes), 1 + max(tensor for tensor, _ in tape.moves))


class _Builder:
    def __init__(self, model: Model, flash: bool, quantized: bool) -> None:
        self.model = model
        self.hidden = model.hidden_size
        self.tape = Tape(flash, quantized)
        self.layers = _standing_for_all(model.layers)
        self.inputs: dict[int | None, tuple[int, ...]] = {}

    def build(self) -> None:
        rows = self._embed()
        slices = self._slices_looked_up()
        for number, layer in enumerate(self.layers):
            rows = self._layer(layer, rows, last=number == len(self.layers) - 1)
            if slices is not None:
                slices = self._slice(slices) if number else self._slice(self._slices_mixed(slices))
        if slices is not None:
            self.tape.drop(slices)
        tape, model = self.tape, self.model
        if model.architecture in _LAYER_NORM:
            rows = self._replace(rows, self.hidden)
        if model.architecture in _PICKED_LATE:
            self._pick(rows)
        tape.take(model.vocab_size)

    def _replace(self, source: int, size: int) -> int:
        result = self.tape.take(size)
        self.tape.drop(source)
        return result

    def _pick(self, *tensors: int) -> list[int]:
        """The rows whose outputs are wanted, in tensors of their own; no others go on."""
        self.tape.picked = True
        picked = [self._replace(rows, self.hidden) for rows in tensors]
        self.tape.drop(self.wanted)
        return picked

    def _embed(self) -> int:
        """All inputs lie at the start. Rows given as embeddings mixed with tokens have theirs,

        of which two are never given back.
        """
        tape, hidden = self.tape, self.hidden
        tokens = tape.take(1)
        tape.take(hidden)
        mixed = (tape.take(1), tape.take(1, width=8))
        embedded = tape.take(hidden)
        self._cache_inputs()
        self.wanted = tape.take(1)
        rows = self._replace(tokens, hidden)
        looked_up = self._replace(mixed[0], hidden)
        tape.take(hidden)
        tape.drop(embedded, looked_up, mixed[1])
        return rows

    def _slices_looked_up(self) -> int | None:
        """Gemma's second table: a row for all layers at once, scaled."""
        if self.model.per_layer_embedding is None:
            return None
        return self._replace(self.tape.take(self._slices), self._slices)

    @property
    def _slices(self) -> int:
        """Elements of all layers' slices."""
        slice_size = self.model.per_layer_embedding.size if self.model.per_layer_embedding else 0
        return slice_size * len(self.model.layers)

    def _slices_mixed(self, slices: int) -> int:
        """Rows of the first table are projected onto them; turned layer by layer."""
        mixed = self._replace(self.tape.take(self._slices), self._slices)
        self.tape.drop(slices)
        return self._replace(mixed, self._slices)

    def _slice(self, slices: int) -> int:
        """What a layer adds of its slice."""
        gate = self.tape.take(self._slices // len(self.model.layers))
        self.tape.drop(self._replace(gate, self.hidden))
        return slices

    def _cache_inputs(self) -> None:
        """Positions, and for each kind of cache the places to write, the turns and the mask."""
        tape = self.tape
        caches = [cache for layer in self.layers if (cache := _cache(layer, self.hidden))]
        position = tape.take(1, uses=len(caches) or 1)
        for window in dict.fromkeys(cache.window for cache in caches):
            equal = [cache for cache in caches if cache.window == window]
            uses = len(equal)
            places = 1 if tape.flash else max(cache.value for cache in equal) or 1
            inputs = [tape.take(1, width=8, uses=uses), tape.take(places, width=8, uses=uses)]
            if tape.quantized:
                sizes = (turned_together(equal[0]), _VALUES_TURNED if equal[0].value else 0)
                inputs += [tape.take(fixed=size * size, uses=uses) for size in sizes if size]
            inputs.append(tape.take(score=1, window=window, width=2 if tape.flash else 4, uses=uses))
            self.inputs[window] = (position, *inputs)

    def _layer(self, layer: Layer, rows: int, *, last: bool) -> int:
        if layer.mixer is not None and layer.ffns and layer.norms == 1:
            return self._parallel(layer, rows, last=last)
        tape = self.tape
        if layer.mixer is not None:
            mixed = self._mix(layer, self._norm(rows))
            if last and self.model.architecture not in _PICKED_LATE:
                mixed, rows = self._pick(mixed, rows)
            in_residual = isinstance(layer.mixer, GatedDeltaNet) or self.model.architecture in _IN_RESIDUAL
            rows = self._add(mixed, rows, in_residual)
        if layer.ffns:
            source = self._norm(rows)
            for _ in layer.ffns[1:]:
                tape.keep(source)
            outputs = [run(part, tape, self.hidden, source) for part in layer.ffns]
            tape.drop(*outputs[1:])
            rows = self._add(outputs[0], rows, self.model.architecture in _FED_IN_RESIDUAL)
        return rows

    def _mix(self, layer: Layer, source: int) -> int:
        """The mixer; the inputs of its cache go with the last layer that reads them."""
        cache = _cache(layer, self.hidden)
        self.tape.rotates = self.model.architecture not in _UNROTATED and not (
            self.model.architecture in _ROTATED_IN_WINDOWS and cache is not None and cache.window is None
        )
        if layer.beside is not None:
            self.tape.keep(source)
        mixed = run(layer.mixer, self.tape, self.hidden, source)
        if layer.beside is not None:
            mixed = self._add(run(layer.beside, self.tape, self.hidden, source), mixed, in_residual=False)
        if cache is not None:
            self.tape.drop(*self.inputs[cache.window])
        return mixed

    def _norm(self, rows: int) -> int:
        if self.model.architecture in _NORMED_AFTER:
            return self.tape.keep(rows)
        return self.tape.take(self.hidden)

    def _add(self, part: int, rows: int, in_residual: bool) -> int:
        """The sum takes the place of one of the two."""
        kept, gone = (rows, part) if in_residual else (part, rows)
        self.tape.drop(gone)
        return kept

    def _parallel(self, layer: Layer, rows: int, *, last: bool) -> int:
        """Attention and feed-forward of the same normed rows; both are added at the end."""
        source = self.tape.keep(self._norm(rows))
        self.tape.projects = False
        mixed = self._mix(layer, source)
        self.tape.projects = True
        fed = run(layer.ffns[0], self.tape, self.hidden, source)
        if last:
            mixed, rows = self._pick(mixed, rows)
        self.tape.drop(rows, self._replace(mixed, self.hidden))
        return fed


def _cache(layer: Layer, hidden: int) -> Cache | None:
    """The layer's own cache, the first where a sparse one keeps more beside it."""
    return None if layer.mixer is None else next(iter(describe(layer.mixer, hidden).caches), None)


def _standing_for_all(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Two layers of each kind, in order, and the last."""
    seen: Counter[Layer] = Counter()
    chosen = []
    for number, layer in enumerate(layers):
        seen[layer] += 1
        if seen[layer] <= 2 or number == len(layers) - 1:
            chosen.append(layer)
    return tuple(chosen)
