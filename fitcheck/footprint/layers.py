"""Where a model's bytes lie, layer by layer: what a split between devices asks.

All sums run over the first n layers, so that any span of layers costs two
look-ups. Layers are those of the file, prediction layers at the end included,
and the output counts as one more, as llama.cpp counts them.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from fitcheck.footprint.assignment import assign, in_file
from fitcheck.footprint.kv_cache import cells, stored_caches
from fitcheck.footprint.mechanisms import Mechanism
from fitcheck.footprint.memory import Choices
from fitcheck.footprint.reads import STACKED, ReadGroup, Reads
from fitcheck.footprint.tensors import kinds_of, layout, mechanisms_by_kind
from fitcheck.schema.model import Model
from fitcheck.schema.weights import FileWeights, WeightGroup


class Placed(NamedTuple):
    """Tensors of one type, the same in each of ``layers``; the rest are figures of one layer."""

    type: str
    layers: tuple[int, ...]
    experts: bool
    bytes: int
    bytes_read: int
    weights_read: int
    matrices: int


class ByLayer(NamedTuple):
    """A format's weights: sums over the first n layers, and what lies outside them."""

    dense: tuple[int, ...]  # all but the stacked experts, the output as the last layer
    experts: tuple[int, ...]
    placed: tuple[Placed, ...]
    tables: int  # looked up by rows
    output: int  # the output matrix and its norm; where tied, a second copy of the table
    copied: int  # bytes of that copy: in memory twice, in the file once
    table_reads: tuple[ReadGroup, ...]
    output_reads: tuple[ReadGroup, ...]
    largest: int  # bytes of the largest tensor in a layer

    @property
    def layers(self) -> int:
        """The output counted."""
        return len(self.dense) - 1


def span(sums: tuple[int, ...], layers: range) -> int:
    """Of sums over the first n layers, what lies in these."""
    return sums[layers.stop] - sums[layers.start] if layers else 0


@lru_cache(maxsize=256)
def by_layer(model: Model, format_name: str) -> ByLayer:
    """A format's weights by layer. Raises UnknownName."""
    together: dict[tuple[str, tuple[int, ...], bool], list[int]] = {}
    largest = 0
    for group, name, tensors, layers, size, read in in_file(model, format_name):
        if not layers:
            continue
        tensor_name, _, cols, _, _, _, rows_read, stack_read = group.tensor
        sums = together.setdefault((name, layers, STACKED in tensor_name), [0, 0, 0, 0])
        each = size // tensors
        largest = max(largest, each)
        sums[0] += each
        sums[1] += read // tensors
        if not group.unused:
            sums[2] += cols * rows_read * stack_read
            sums[3] += stack_read if rows_read > 1 else 0
    placed = tuple([Placed(*where, *sums) for where, sums in together.items()])
    return _outside(model, format_name, placed, largest)


def _outside(model: Model, format_name: str, placed: tuple[Placed, ...], largest: int) -> ByLayer:
    tables = output = copied = 0
    table_reads, output_reads = [], []
    for typed in [one for one in assign(model, format_name) if not one.layers]:
        tensor = typed.group.tensor
        read = ReadGroup(
            typed.type,
            typed.bytes_read,
            tensor.weights_read * typed.tensors,
            tensor.stack_read * typed.tensors if tensor.rows_read > 1 else 0,
        )
        looked_up = tensor.part == "embedding"
        if looked_up:
            tables += typed.bytes
        if looked_up and tensor.rows_read == 1:
            table_reads.append(read)
        else:
            output += typed.bytes
            copied += typed.bytes if looked_up else 0
            output_reads.append(read)
    layers = layout(model).facts.layers_in_file
    return ByLayer(
        _sums(placed, layers, output, experts=False),
        _sums(placed, layers, 0, experts=True),
        placed,
        tables,
        output,
        copied,
        tuple(table_reads),
        tuple(output_reads),
        largest,
    )


def _sums(placed: Iterable[Placed], layers: int, output: int, *, experts: bool) -> tuple[int, ...]:
    """Bytes of the first n layers, and of all with the output."""
    everywhere = sum([one.bytes for one in placed if one.experts == experts and len(one.layers) == layers])
    sizes = [everywhere] * layers
    for one in placed:
        if one.experts == experts and len(one.layers) != layers:
            for layer in one.layers:
                sizes[layer] += one.bytes
    return tuple(accumulate([*sizes, output], initial=0))


def by_layer_of_file(model: Model, weights: FileWeights) -> ByLayer:
    """A real file's weights: bytes by its own layers, reads spread evenly, as its groups are sums over all.

    Where its layers are unknown or others than the model's, bytes are spread evenly too.
    """
    layers = layout(model).facts.layers_in_file
    tables = [group for group in weights.groups if group.part == "embedding"]
    outputs = [group for group in weights.groups if group.part == "output"]
    tied = [group for group in tables if group.bytes_read > group.bytes // 2]
    placed = tuple(
        _evenly(group, layers) for group in weights.groups if group.part not in ("embedding", "output")
    )
    copied = sum(group.bytes for group in tied)
    output = sum(group.bytes for group in outputs) + copied
    dense, experts = _sums(placed, layers, 0, experts=False), _sums(placed, layers, 0, experts=True)
    if len(weights.layers) == layers:
        inside = sum(map(sum, weights.layers))  # the rest lies outside of layers, as norms behind the last
        output += weights.tensor_bytes - inside - sum(group.bytes for group in (*tables, *outputs))
        dense, experts = (
            tuple(accumulate((*sizes, 0), initial=0)) for sizes in zip(*weights.layers, strict=True)
        )
    return ByLayer(
        (*dense[:-1], dense[-1] + output),
        experts,
        placed,
        sum(group.bytes for group in tables),
        output,
        copied,
        tuple(ReadGroup(g.type, g.bytes_read, g.weights_read, 0) for g in tables if g not in tied),
        tuple(ReadGroup(g.type, g.bytes_read, g.weights_read, g.tensors) for g in (*outputs, *tied)),
        max((tensors.bytes for tensors in placed), default=0),
    )


def _evenly(group: WeightGroup, layers: int) -> Placed:
    """A group's tensors as if each layer had the same."""
    return Placed(
        group.type,
        tuple(range(layers)),
        group.part == "experts" and group.bytes_read < group.bytes,
        -(-group.bytes // layers),
        -(-group.bytes_read // layers),
        group.weights_read // layers,
        group.tensors // layers if group.part not in ("norm", "prediction") else 0,
    )


def reads(
    weights: ByLayer, layers: range, experts_of: range, outside: tuple[ReadGroup, ...] = ()
) -> tuple[ReadGroup, ...]:
    """What a token reads of these layers, of the experts of those, and of what lies outside of layers."""
    found = Reads()
    for group in outside:
        found.add(group.type, group.bytes, group.weights, group.matrices, group.expert_bytes)
    for name, there, experts, _, size, read, matrices in weights.placed:
        wanted = experts_of if experts else layers
        count = bisect_left(there, wanted.stop) - bisect_left(there, wanted.start)
        if count > 0:
            found.add(name, count * size, count * read, count * matrices, count * size if experts else 0)
    return found.groups


def cache_by_layer(model: Model, context: int, choices: Choices) -> tuple[int, ...]:
    """Bytes of KV cache and recurrent state of the first n layers, as ``kv_bytes`` counts them all."""
    kept = {
        row.cache: row.cell_bytes * cells(row.cache, context, choices.slots, choices.ubatch)
        for row in stored_caches(model, choices.kv_type, choices.flash_attention)
    }
    return _by_kind(
        model,
        lambda part: 4 * part.state * choices.slots + sum(kept.get(cache, 0) for cache in part.caches),
    )


@lru_cache(maxsize=4096)
def state_by_layer(model: Model, slots: int) -> tuple[int, ...]:
    """Bytes of recurrent state, F32 and one for each slot, of the first n layers."""
    return _by_kind(model, lambda part: 4 * part.state * slots)


def _by_kind(model: Model, size_of: Callable[[Mechanism], int]) -> tuple[int, ...]:
    """Sums over the first n layers of what their parts keep; those for prediction keep nothing."""
    _, order = kinds_of(model)
    sizes = [sum(map(size_of, parts)) for parts in mechanisms_by_kind(model)]
    idle = layout(model).facts.layers_in_file + 1 - len(order)
    return tuple(accumulate([*map(sizes.__getitem__, order), *[0] * idle], initial=0))
