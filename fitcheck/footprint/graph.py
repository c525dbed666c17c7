"""The graph of one micro-batch as llama.cpp builds it: what it takes and gives back, in order.

After llama-graph.cpp and src/models/*.cpp of b11434. Equal layers repeat: a few
of each kind stand for most (repeats.py). Where families differ in ways that no
field of the shape tells, families.py names them.
"""

from functools import lru_cache
from typing import NamedTuple

from fitcheck.footprint import families
from fitcheck.footprint.arena import NOTHING, Size, Tape
from fitcheck.footprint.inputs import cache_inputs
from fitcheck.footprint.mechanisms import Cache, project, run, states_first
from fitcheck.footprint.mechanisms.attention import finish
from fitcheck.footprint.mechanisms.compressed import compressed_inputs
from fitcheck.footprint.repeats import built_at_once, standing_for_all
from fitcheck.footprint.residuals import residual
from fitcheck.footprint.tensors import caches_by_kind, kinds_of
from fitcheck.schema.model import (
    ChannelMix,
    Experts,
    FeedForward,
    GatedDeltaNet,
    Layer,
    Model,
)


class Graph(NamedTuple):
    """What a Tape recorded: moves of tensors, and the sizes they name by number."""

    moves: tuple[tuple[int, int], ...]
    sizes: tuple[Size, ...]
    tensors: int


@lru_cache(maxsize=256)
def graph(model: Model, flash: bool, quantized: bool, shared: bool = False) -> Graph:
    """The graph that is reserved for a micro-batch. Its last move takes the logits."""
    builder = _Builder(model, flash, quantized)
    builder.tape.shares_cells = shared
    builder.build()
    tape = builder.tape
    return Graph(tuple(tape.moves), tuple(tape.sizes), tape.tensors)


@lru_cache(maxsize=512)
def widest_part(model: Model) -> int:
    """Elements a token that a part of a layer holds at most, besides the row it reads."""
    parts = {part for layer in kinds_of(model)[0] for part in (layer.mixer, *layer.ffns) if part is not None}
    return max(
        (_widest(part, model.hidden_size) + _again(part, model.hidden_size) for part in parts), default=0
    )


def _again(part: object, hidden: int) -> int:
    """What the chosen experts give, a second time: cards were found to hold it twice."""
    return part.active * (part.latent_size or hidden) if isinstance(part, Experts) else 0


def _widest(part: object, hidden: int) -> int:
    tape = Tape(flash=True, quantized=False)
    tape.blanks.append(tape.take())
    tape.shifted, tape.unstored = tape.take(), tape.take()
    tape.gather(states_first(part, hidden))
    compressed_inputs([part], tape)
    tape.tokens = tape.take()
    source = tape.take(hidden)
    run(part, tape, hidden, source)
    sizes = list(tape.sizes)
    held: dict[int, int] = {}
    widest = 0
    for tensor, number in tape.moves:
        held[tensor] = 0 if number < 0 else sizes[number].token
        widest = max(widest, sum(held.values()))
    return widest - hidden


class _Builder:
    def __init__(self, model: Model, flash: bool, quantized: bool) -> None:
        self.model = model
        self.hidden = model.hidden_size
        self.tape = Tape(flash, quantized)
        self.residual = residual(model, self.tape)
        standing, (kinds, _), caches = standing_for_all(model), kinds_of(model), caches_by_kind(model)
        self.layers = tuple([kinds[kind] for kind in standing])
        self.caches = tuple([caches[kind] for kind in standing])  # that they read, None where they have none
        self.cache: Cache | None = None  # of the layer at hand
        self.kept = tuple([cache for cache in self.caches if cache])
        families.tell(self.tape, model, self.kept)
        self.inputs: dict[int | None, tuple[int, ...]] = {}
        self.following = iter(built_at_once(self.layers)[1:])

    def build(self) -> None:
        rows = self._embed()
        self._read_states(self.layers[0].mixer)
        if self.model.embedding_norm:
            rows = self._replace(rows, self.hidden)
        slices = self._slices_looked_up()
        rows = self.residual.begin(rows)
        for number, layer in enumerate(self.layers):
            rows = self._layer(layer, rows, number)
            if slices is not None:
                slices = self._slice(slices) if number else self._slice(self._slices_mixed(slices))
        if slices is not None:
            self.tape.drop(slices)
        tape, model = self.tape, self.model
        rows = self.residual.end(rows)
        if model.norm_bias or model.architecture in families.LAYER_NORM:
            rows = self._replace(rows, self.hidden)
        if model.architecture in families.PICKED_LATE:
            self._pick(rows)
        tape.take(model.vocab_size)

    def _replace(self, source: int, size: int) -> int:
        result = self.tape.take(size)
        self.tape.drop(source)
        return result

    def _pick(self, *tensors: int) -> list[int]:
        """The rows whose outputs are wanted, in tensors of their own; no others go on."""
        self.tape.picked = True
        picked = [self._picked(rows) for rows in tensors]
        self.tape.drop(self.tape.wanted)
        return picked

    def _embed(self) -> int:
        """All inputs lie at the start. Rows given as embeddings mixed with tokens have theirs,

        of which two are never given back.
        """
        tape, hidden = self.tape, self.hidden
        parts = [part for layer in self.layers for part in layer.ffns]
        tables = sum(isinstance(part, Experts) and part.hash_vocab > 0 for part in parts)
        tokens = tape.tokens = tape.take(1, uses=1 + tables)
        tape.take(hidden)
        if self.model.hyper_connections:  # DeepSeek V4 has no such mixture
            self.inputs = cache_inputs(self.layers, self.kept, tape)
            tape.wanted = tape.take(1)
            return self._replace(tokens, hidden)
        mixed = (tape.take(1), tape.take(1, width=8))
        embedded = tape.take(hidden)
        self.inputs = cache_inputs(self.layers, self.kept, tape)
        tape.wanted = tape.take(1)
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
        if self.model.altup is not None:  # part of how it corrects its states
            return slices
        gate = self.tape.take(self._slices // len(self.model.layers))
        self.tape.drop(self._replace(gate, self.hidden))
        return slices

    def _layer(self, layer: Layer, rows: int, number: int) -> int:
        last, self.cache = number == len(self.layers) - 1, self.caches[number]
        self.tape.picks = last and isinstance(layer.ffns[0] if layer.ffns else None, ChannelMix)
        both = layer.norms == 1 or self.model.architecture in families.PARALLEL
        if layer.mixer is not None and layer.ffns and both:
            return self._parallel(layer, rows, last=last)
        tape = self.tape
        if layer.mixer is not None:
            self._read_states(layer.mixer)
            source = self.residual.enter(rows)
            self.residual.bank(number, rows)
            mixed = self._mix(layer, rows, source, last=last)
            picks = last and not tape.picks and not self._picked_late
            if picks and layer.beside is None:
                mixed, rows = self._pick(mixed, rows)
            in_residual = (
                isinstance(layer.mixer, GatedDeltaNet) or self.model.architecture in families.IN_RESIDUAL
            )
            rows = self.residual.leave(mixed, rows, in_residual)
            if picks and layer.beside is not None:
                (rows,) = self._pick(rows)
        if layer.ffns:
            fed = self._feed(layer, rows)
            if tape.picks:
                (rows,) = self._pick(rows)
            rows = self.residual.leave(fed, rows, self.model.architecture in families.FED_IN_RESIDUAL)
        return rows

    def _feed(self, layer: Layer, rows: int) -> int:
        """Where experts lie beside a dense block they come first, and each has a norm of its own."""
        first, *others = layer.ffns
        beside = [
            self._run(one, NOTHING if isinstance(one, Experts) else self.residual.enter(rows))
            for one in others
        ]
        fed = self._run(first, self.residual.enter(rows))
        self.tape.drop(*beside)
        return fed

    @property
    def _picked_late(self) -> bool:
        return self.model.architecture in families.PICKED_LATE or self.model.hyper_connections > 0

    def _mix(self, layer: Layer, rows: int, source: int, *, last: bool) -> int:
        """The mixer; the inputs of its cache go with the last layer that reads them."""
        tape, cache = self.tape, self.cache
        tape.rotates = self.model.architecture not in families.UNROTATED and not (
            self.model.architecture in families.ROTATED_IN_WINDOWS
            and cache is not None
            and cache.window is None
        )
        tape.given = list(self.inputs.get(cache.window, ())) if cache is not None else []
        if layer.beside is None:
            mixed = self._run(layer.mixer, source)
        else:
            mixed = self._side_by_side(layer, rows, source)
        tape.done_with_cache()
        if last:
            tape.drop(*(kept for kept in (tape.lasting, tape.chosen) if kept is not None))
        return mixed

    def _run(self, part: object, source: int) -> int:
        if not isinstance(part, FeedForward):
            self.tape.ahead = states_first(next(self.following, None), self.hidden)
        return run(part, self.tape, self.hidden, source)

    def _read_states(self, part: object) -> None:
        """Unless the part before has seen to it."""
        if not self.tape.gathered:
            self.tape.gather(states_first(part, self.hidden))

    def _side_by_side(self, layer: Layer, rows: int, source: int) -> int:
        """Attention up to its values, then the other mixer, which has a norm of its own."""
        tape = self.tape
        tape.projects = tape.turns_back = False
        tape.beside, tape.waiting = self._run(layer.mixer, source), layer.mixer
        tape.projects = tape.turns_back = True
        self._read_states(layer.beside)
        other = self._run(layer.beside, self.residual.enter(rows))
        mixed, tape.beside = tape.beside, None
        tape.drop(other)
        return mixed

    def _parallel(self, layer: Layer, rows: int, *, last: bool) -> int:
        """Attention and feed-forward of the same rows; both are added at the end."""
        self._read_states(layer.mixer)
        tape, source = self.tape, self.residual.enter(rows)
        apart = layer.norms > 1
        tape.projects = tape.turns_back = self.model.architecture in families.PROJECTED_FIRST
        mixed = self._mix(layer, rows, source if apart else tape.keep(source), last=last)
        first = tape.projects
        tape.projects = tape.turns_back = True
        if apart:
            source = self.residual.enter(rows)
        if first and last:
            mixed = self._picked(mixed)
        fed = self._run(layer.ffns[0], self._picked(source) if last else source)
        if last:
            rows = self._picked(rows)
        if first:
            tape.drop(fed, rows)
            return mixed
        tape.picked = False
        mixed = finish(layer.mixer, tape, self.hidden, mixed)
        if last:
            mixed = self._picked(mixed)
        tape.drop(rows, mixed)
        return fed

    def _picked(self, rows: int) -> int:
        """The rows whose outputs are wanted, in a tensor of their own."""
        self.tape.picked = True
        return project(self.tape, self.hidden, rows)
