"""Every tensor of a model's file, gathered into groups of equal ones.

A model of 80 equal layers has nine kinds of tensor in them, not 720: all
arithmetic runs over kinds and counts, so that a plan of every format costs
a few milliseconds. What mixes ask of single tensors, their place among
those of the same role, is kept with the group.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from fitcheck.footprint import extras
from fitcheck.footprint.mechanisms import Cache, Mechanism, Tensor, describe, matrix, small
from fitcheck.schema.model import (
    Attention,
    CompressedAttention,
    Experts,
    GatedDeltaNet,
    LatentAttention,
    Layer,
    Model,
)

_ATTENTION = (Attention, LatentAttention)

# The roles by which llama.cpp's quantizer chooses types (tensor_get_category in
# src/llama-quant.cpp); attn_qkv and attn_kv_b follow the rules of attn_v. All other
# tensors have the role "other" and take a mix's default type.
_ROLES = {
    "token_embd.weight": "token_embd",
    "per_layer_token_embd.weight": "token_embd",
    "output.weight": "output",
    "attn_q.weight": "attn_q",
    "attn_k.weight": "attn_k",
    "indexer.attn_k.weight": "attn_k",
    "attn_v.weight": "attn_v",
    "attn_qkv.weight": "attn_v",
    "attn_kv_b.weight": "attn_v",
    "attn_output.weight": "attn_output",
}

# LLM_TYPE_70B in src/models/*.cpp: architecture and layers; the quantizer
# gives such models better attn_v tensors. Llama also needs grouped queries.
_CLASS_70B = {("llama", 80), ("qwen2", 80), ("deci", 80), ("olmo", 80), ("jais2", 68)}

_Block = tuple[tuple[Tensor, str], ...]  # a layer's tensors with their roles


class TensorGroup(NamedTuple):
    """Equal tensors; ``layers`` is empty for those outside the layers. Groups of the same layers share them.

    ``ordinals`` is what rules of mixes count by: the place among the tensors
    of the role or, for ffn tensors of models with experts, the layer's number.
    ``counters`` is the plain place, by which the 1 and 2 bit mixes go.
    """

    tensor: Tensor
    role: str
    tensors: int
    layers: tuple[int, ...]
    ordinals: tuple[int, ...]
    counters: tuple[int, ...]
    unused: bool  # stored, but not read by decode: multi-token prediction


class Facts(NamedTuple):
    """What mixes ask about the model as a whole."""

    gqa: int  # query heads for one KV head in the first layer; 0 where it has none
    experts: int
    class_70b: bool
    falcon: bool  # the first Falcon, which has rules of its own
    attn_v_tensors: int
    layers_in_file: int


class Layout(NamedTuple):
    """A model described once, for all formats and contexts."""

    groups: tuple[TensorGroup, ...]
    facts: Facts
    caches: tuple[tuple[Cache, int], ...]  # each with the number of layers that keep one
    widest_value: int  # elements of the widest row of values
    state_elements: int  # F32, for one sequence, all layers together


def tensors(model: Model) -> tuple[TensorGroup, ...]:
    """Every tensor of the model's GGUF file."""
    return layout(model).groups


@lru_cache(maxsize=512)
def parameters(model: Model) -> int:
    """Elements of all tensors that generation loads, as engines count them."""
    return sum(g.tensor.weights * g.tensors for g in tensors(model) if not g.unused)


@lru_cache(maxsize=512)
def active_parameters(model: Model) -> int:
    """Parameters of a token's path: its experts, and embedding tables in full."""
    return sum(_active(g.tensor) * g.tensors for g in tensors(model) if not g.unused)


def _active(tensor: Tensor) -> int:
    return tensor.weights if tensor.part == "embedding" else tensor.weights_read


@lru_cache(maxsize=512)
def layout(model: Model) -> Layout:
    """The model's tensors, caches and states, gathered; cheap to ask for again."""
    kinds, order = kinds_of(model)
    described = mechanisms_by_kind(model)
    blocks = [_block(model, layer, parts) for layer, parts in zip(kinds, described, strict=True)]
    groups = tuple(_groups(model, blocks, order))
    mechanisms = [mechanism for kind in order for mechanism in described[kind]]
    caches = Counter(cache for mechanism in mechanisms for cache in mechanism.caches)
    return Layout(
        groups,
        _facts(model, kinds, groups),
        tuple(caches.items()),
        widest_value=max((cache.value for cache in caches if not cache.apart), default=0),
        state_elements=sum(mechanism.state for mechanism in mechanisms),
    )


@lru_cache(maxsize=512)
def kinds_of(model: Model) -> tuple[tuple[Layer, ...], tuple[int, ...]]:
    """Layers that differ, and of which kind each layer is: many are of few kinds, and hashing one is slow."""
    kinds: dict[Layer, int] = {}
    order = tuple(kinds.setdefault(layer, len(kinds)) for layer in model.layers)
    return tuple(kinds), order


@lru_cache(maxsize=512)
def mechanisms_by_kind(model: Model) -> tuple[tuple[Mechanism, ...], ...]:
    """What the parts of each kind of layer store and keep; see ``kinds_of``."""
    kinds, _ = kinds_of(model)
    return tuple(mechanisms_of(layer, model.hidden_size) for layer in kinds)


@lru_cache(maxsize=512)
def caches_by_kind(model: Model) -> tuple[Cache | None, ...]:
    """The cache that each kind of layer's mixer reads, the first where a sparse one keeps more beside it."""
    kinds, described = kinds_of(model)[0], mechanisms_by_kind(model)
    return tuple(
        None if layer.mixer is None else next(iter(parts[0].caches), None)
        for layer, parts in zip(kinds, described, strict=True)
    )


def mechanisms_of(layer: Layer, hidden: int) -> tuple[Mechanism, ...]:
    """What each part of a layer stores and keeps, the mixers first."""
    mixers = (mixer for mixer in (layer.mixer, layer.beside) if mixer is not None)
    return tuple(describe(part, hidden) for part in (*mixers, *layer.ffns))


def _groups(model: Model, blocks: list[_Block], order: Sequence[int]) -> Iterator[TensorGroup]:
    """Groups outside the layers first, then those of the layers in the file's order.

    ``blocks`` are those of each kind of layer, of which the layers are in ``order``.
    """
    for tensor in _outside(model):
        yield TensorGroup(tensor, _role(tensor, model.tied_embeddings), 1, (), (0,), (0,), False)
    places: dict[tuple[Tensor, bool], _Where] = {}
    kinds = [_wheres(block, False, places) for block in blocks]
    if model.nextn_layers:
        kinds.append(_wheres(_prediction(model), True, places))
    running: Counter[str] = Counter()
    for number, kind in enumerate((*order, *[len(blocks)] * model.nextn_layers)):
        for where, role in kinds[kind]:
            where.append((number, running[role]))
            running[role] += 1
    by_layer = any(tensor.part == "experts" for tensor, _ in places)
    spans: dict[tuple[int, ...], tuple[int, ...]] = {}
    for (tensor, unused), where in places.items():
        layers = tuple([number for number, _ in where])
        yield _group(tensor, spans.setdefault(layers, layers), where, unused, by_layer)


_Where = list[tuple[int, int]]
"""Of equal tensors, the layers and the places among those of the role."""


def _wheres(
    block: _Block, unused: bool, places: dict[tuple[Tensor, bool], _Where]
) -> list[tuple[_Where, str]]:
    """Of a layer's tensors the lists to which each such layer adds: to find one is slow, and layers many."""
    return [(places.setdefault((tensor, unused), []), role) for tensor, role in block]


def _group(
    tensor: Tensor, layers: tuple[int, ...], where: _Where, unused: bool, by_layer: bool
) -> TensorGroup:
    role = _role(tensor)
    counters = tuple([counter for _, counter in where])
    ordinals = layers if by_layer and role.startswith("ffn") else counters
    return TensorGroup(tensor, role, len(where), layers, ordinals, counters, unused)


def _role(tensor: Tensor, tied: bool = False) -> str:
    """Tied tables go by the output's rule, for one of them is the output."""
    if tensor.keep is not None:
        return "other"
    role = _ROLES.get(tensor.name) or _ffn_role(tensor.name)
    return "output" if tied and role == "token_embd" else role


def _ffn_role(name: str) -> str:
    """ffn_down, ffn_down_exps and ffn_down_shexp all follow the rule of ffn_down."""
    return next((role for role in ("ffn_gate", "ffn_up", "ffn_down") if name.startswith(role)), "other")


def _outside(model: Model) -> Iterator[Tensor]:
    """Tables, the output and its norm. Of a looked-up table a token reads one row."""
    hidden, vocab = model.hidden_size, model.vocab_size
    table = matrix("token_embd", "embedding", hidden, vocab)
    yield table if model.tied_embeddings else table._replace(rows_read=1)
    if not model.tied_embeddings:
        yield matrix("output", "output", hidden, vocab)
    if model.output_norm:
        yield small("output_norm.weight", "norm", hidden, _vectors(model))
    if model.output_bias:
        yield small("output.bias", "output", vocab)
    if model.embedding_norm:
        yield small("token_embd_norm.weight", "norm", hidden, _vectors(model))
    yield from extras.outside(model)


def _vectors(model: Model) -> int:
    """Of one norm: a scale, and where it also shifts, a bias."""
    return 2 if model.norm_bias else 1


def _block(model: Model, layer: Layer, parts: tuple[Mechanism, ...]) -> _Block:
    """Tensors of one layer with their roles, by name as the quantizer visits them."""
    found = [tensor for part in parts for tensor in part.tensors]
    if layer.norms:
        found.append(small("norms", "norm", model.hidden_size, layer.norms * _vectors(model)))
    if layer.extra_scalars:
        found.append(small("scalars", "other", layer.extra_scalars))
    found += extras.of_layer(model)
    return tuple((tensor, _role(tensor)) for tensor in sorted(found))


def _prediction(model: Model) -> _Block:
    """A multi-token-prediction layer: attention and feed-forward like the last, and its own joints."""
    hidden, vocab = model.hidden_size, model.vocab_size
    block = model.prediction or _last_shape(model)
    block = replace(block, norms=block.norms + 3)
    joints = [matrix("nextn.eh_proj", "other", 2 * hidden, hidden)]
    joints += [matrix("nextn.vocabulary", "other", hidden, vocab)] * model.nextn_vocabularies
    return _block(model, block, mechanisms_of(block, hidden)) + tuple((joint, "other") for joint in joints)


def _last_shape(model: Model) -> Layer:
    """The last layer that attends, with the last feed-forward part where layers hold one part each."""
    mixed = next(layer for layer in reversed(model.layers) if isinstance(layer.mixer, _ATTENTION))
    fed = next(layer for layer in reversed(model.layers) if layer.ffns)
    norms = mixed.norms if mixed is fed else mixed.norms + fed.norms
    return replace(mixed, ffns=fed.ffns, norms=norms)


def _facts(model: Model, kinds: Iterable[Layer], groups: tuple[TensorGroup, ...]) -> Facts:
    first = model.layers[0].mixer if model.layers else None
    class_70b = (model.architecture, len(model.layers)) in _CLASS_70B
    if model.architecture == "llama" and _gqa(model, first) == 1:
        class_70b = False  # LLaMA-1 65B
    return Facts(
        gqa=_gqa(model, first),
        experts=_expert_count(kinds),
        class_70b=class_70b,
        falcon=model.architecture == "falcon",
        attn_v_tensors=sum(group.tensors for group in groups if group.role == "attn_v"),
        layers_in_file=len(model.layers) + model.nextn_layers,
    )


def _gqa(model: Model, first: object) -> int:
    """n_gqa() of layer 0. Delta-net files state KV heads for all layers, others none for state layers."""
    if isinstance(first, GatedDeltaNet):
        mixers = (layer.mixer for layer in model.layers)
        first = next((mixer for mixer in mixers if isinstance(mixer, Attention)), None)
    if isinstance(first, LatentAttention) and first.expanded:
        return 1
    if isinstance(first, (LatentAttention, CompressedAttention)):
        return first.heads
    return first.heads // first.kv_heads if isinstance(first, Attention) else 0


def _expert_count(kinds: Iterable[Layer]) -> int:
    experts = (ffn.count for layer in kinds for ffn in layer.ffns if isinstance(ffn, Experts))
    return max(experts, default=0)
