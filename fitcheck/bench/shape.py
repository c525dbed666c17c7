"""The matrices that a decode step multiplies by, layer by layer, for a model in a format.

The byte accounting knows how many tensors of a role take each type; here they
are dealt to the layers evenly. Which layer has which makes no difference to
the time of a step that passes through all of them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from fitcheck.errors import BadInput
from fitcheck.footprint.assignment import TypedTensors, assign
from fitcheck.schema.model import Attention, ChannelMix, Experts, FeedForward, Layer, Model


@dataclass(frozen=True, slots=True)
class Packed:
    """``rows`` packed rows of ``cols`` weights; experts are stacked row-wise."""

    type: str
    rows: int
    cols: int


@dataclass(frozen=True, slots=True)
class FfnShape:
    """A dense block (one expert of one) or a stack of experts."""

    gate: Packed | None
    up: Packed
    down: Packed
    size: int
    experts: int = 1
    active: int = 1


@dataclass(frozen=True, slots=True)
class LayerShape:
    query: Packed
    key: Packed
    value: Packed
    output: Packed
    heads: int
    kv_heads: int
    head_dim: int
    window: int
    ffns: tuple[FfnShape, ...]


@dataclass(frozen=True, slots=True)
class DecodeShape:
    """All of it: ``cells`` is the room in each layer's KV cache (f16)."""

    hidden: int
    cells: int
    layers: tuple[LayerShape, ...]
    embedding: Packed
    output: Packed
    tied: bool


def decode_shape(model: Model, format_name: str, cells: int) -> DecodeShape:
    """The shape of a decode step. Raises BadInput for layers that can't be run yet."""
    by_layer, outside = _deal(assign(model, format_name))
    embedding = outside["token_embd.weight"] if not model.tied_embeddings else outside["output.weight"]
    output = outside["output.weight"]
    layers = tuple(_layer(model, layer, by_layer[n]) for n, layer in enumerate(model.layers))
    return DecodeShape(model.hidden_size, cells, layers, embedding, output, model.tied_embeddings)


def weights_by_width(shape: DecodeShape) -> Counter[tuple[str, int]]:
    """Weights that one step multiplies, by type and by the length of their rows."""
    found: Counter[tuple[str, int]] = Counter()
    for packed, share in _multiplied(shape):
        found[packed.type, packed.cols] += int(packed.rows * packed.cols * share)
    return found


def _multiplied(shape: DecodeShape) -> Iterator[tuple[Packed, float]]:
    """Every matrix with the share of it that a token meets."""
    yield shape.output, 1.0
    for layer in shape.layers:
        for packed in (layer.query, layer.key, layer.value, layer.output):
            yield packed, 1.0
        for ffn in layer.ffns:
            for part in (ffn.gate, ffn.up, ffn.down):
                if part is not None:
                    yield part, ffn.active / ffn.experts


Tensors = dict[str, Packed]


def _deal(typed: Sequence[TypedTensors]) -> tuple[dict[int, Tensors], Tensors]:
    """Every matrix by layer and name, and those outside the layers."""
    by_layer: dict[int, Tensors] = defaultdict(dict)
    outside: Tensors = {}
    for group, members in groupby(typed, key=lambda one: one.group):
        tensor = group.tensor
        if tensor.keep is not None:
            continue
        types = list(_interleave([(member.type, member.tensors) for member in members]))
        for layer, name in zip(group.layers, types, strict=bool(group.layers)):
            by_layer[layer][tensor.name] = Packed(name, tensor.rows * tensor.stack, tensor.cols)
        if not group.layers:
            name = "output.weight" if group.role == "output" else tensor.name
            outside[name] = Packed(types[0], tensor.rows, tensor.cols)
    return by_layer, outside


def _interleave(counts: list[tuple[str, int]]) -> Iterator[str]:
    """Each type as often as counted, spread evenly: A A B B -> A B A B."""
    places = [
        ((i + 0.5) / count, order, name) for order, (name, count) in enumerate(counts) for i in range(count)
    ]
    return (name for _, _, name in sorted(places))


def _layer(model: Model, layer: Layer, tensors: Tensors) -> LayerShape:
    mixer = layer.mixer
    ffns = [part for part in layer.ffns if not isinstance(part, ChannelMix)]
    if not isinstance(mixer, Attention) or not _plain(mixer, layer):
        raise BadInput(
            f"verify can't run the layers of {model.name} yet, only grouped-query attention",
            "choose a model of plain attention layers, for example 8b",
        )
    query, key, value = _projections(mixer, tensors)
    return LayerShape(
        query, key, value, tensors["attn_output.weight"], mixer.heads, mixer.kv_heads, mixer.head_dim,
        mixer.window or 0, tuple(shape for part in ffns for shape in _ffns(part, tensors)),
    )  # fmt: skip


def _plain(mixer: Attention, layer: Layer) -> bool:
    """Whether a layer is one attention of its own cache, with nothing beside it."""
    special = mixer.gated or mixer.gate_size or mixer.indexer or mixer.k_is_v or not mixer.owns_kv
    return not special and layer.beside is None


def _projections(mixer: Attention, tensors: Tensors) -> tuple[Packed, Packed, Packed]:
    """Query, key and value; a fused tensor is cut at its row borders."""
    query, key = mixer.heads * mixer.head_dim, mixer.kv_heads * mixer.head_dim
    if mixer.fused_qkv:
        whole = tensors["attn_qkv.weight"]
        return tuple(Packed(whole.type, rows, whole.cols) for rows in (query, key, key))  # type: ignore[return-value]
    return tensors["attn_q.weight"], tensors["attn_k.weight"], tensors["attn_v.weight"]


def _ffns(part: FeedForward | Experts, tensors: Tensors) -> Iterator[FfnShape]:
    if isinstance(part, FeedForward):
        up = tensors["ffn_up.weight"]
        if part.fused_gate_up:
            up = Packed(up.type, part.size, up.cols)
            yield FfnShape(up, up, tensors["ffn_down.weight"], part.size)
        else:
            yield FfnShape(tensors.get("ffn_gate.weight"), up, tensors["ffn_down.weight"], part.size)
        return
    if part.latent_size:
        raise BadInput("verify can't run experts of this kind yet", "choose a model of plain experts or none")
    yield FfnShape(
        tensors.get("ffn_gate_exps.weight"),
        tensors["ffn_up_exps.weight"],
        tensors["ffn_down_exps.weight"],
        part.size,
        part.count,
        part.active,
    )
    if part.shared_size:
        yield FfnShape(
            tensors.get("ffn_gate_shexp.weight"),
            tensors["ffn_up_shexp.weight"],
            tensors["ffn_down_shexp.weight"],
            part.shared_size,
        )
