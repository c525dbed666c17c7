"""Which type each tensor of a model takes in a format, and what that weighs."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from fitcheck.footprint.formats import tensor_bytes
from fitcheck.footprint.mechanisms import Tensor
from fitcheck.footprint.mix import Condition, Format, Rule
from fitcheck.footprint.mixes import FALCON_RULES, TYPES, find_format
from fitcheck.footprint.mlx import Routers, mlx_layout, routers_of
from fitcheck.footprint.tensors import Facts, Layout, TensorGroup, layout
from fitcheck.schema.model import Model

# What a tensor takes whose columns the first type's block doesn't divide
# (tensor_type_fallback in src/llama-quant.cpp); F16 where that doesn't fit either.
_FALLBACK = {
    **dict.fromkeys(("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_XS"), "IQ4_NL"),
    **dict.fromkeys(("Q2_K", "Q3_K", "TQ1_0", "TQ2_0"), "Q4_0"),
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}
_UNQUANTIZED = ("F32", "F16", "BF16")


class TypedTensors(NamedTuple):
    """Tensors of a group that take the same type."""

    group: TensorGroup
    type: str
    tensors: int  # how many
    layers: tuple[int, ...]  # that hold them; empty outside the layers
    bytes: int  # all of them together
    bytes_read: int  # what one decode step reads of them


class Scope(NamedTuple):
    """What conditions ask: places among so many, and the model's query groups and experts."""

    total: int
    gqa: int
    experts: int


class Placed(NamedTuple):
    """One tensor of the file."""

    layer: int | None
    tensor: Tensor
    type: str
    bytes: int
    unused: bool


def placed(model: Model, format_name: str) -> tuple[Placed, ...]:
    """Every tensor of the file, group by group. The norms of a layer are one entry."""
    return _placed(model, find_format(format_name).name)


@lru_cache(maxsize=64)
def _placed(model: Model, format_name: str) -> tuple[Placed, ...]:
    form = find_format(format_name)
    known = _layout(form, model)
    found: list[Placed] = []
    for group in known.groups:
        for place, layer in enumerate(group.layers or (None,)):
            name = _type_at(form, group, place, known.facts)
            weighed = _weigh(group, name, group.layers[place : place + 1])
            found.append(Placed(layer, group.tensor, name, weighed.bytes, group.unused))
    return tuple(found)


def _type_at(form: Format, group: TensorGroup, place: int, facts: Facts) -> str:
    """The type of one tensor of a group: the rules, asked for its place alone."""
    if group.tensor.keep is not None:
        return _kept_type(form.vectors, group)
    here = slice(place, place + 1)
    one = group._replace(
        tensors=1, layers=group.layers[here], ordinals=group.ordinals[here], counters=group.counters[here]
    )
    ((name, _),) = _types(form, _rules(form, facts).get(group.role), one, facts)
    return _fit(name, group.tensor.cols)


def _kept_type(vectors: str, group: TensorGroup) -> str:
    return vectors if group.tensor.keep == "F32" else group.tensor.keep or vectors


def assign(model: Model, format_name: str) -> tuple[TypedTensors, ...]:
    """Every tensor of the file with its type, grouped. Raises UnknownName."""
    return _assign(model, find_format(format_name).name)


def weights_bytes(model: Model, format_name: str) -> int:
    """Bytes of all tensors of the file, without its metadata and alignment."""
    return _weights_bytes(model, find_format(format_name).name)


@lru_cache(maxsize=4096)
def _weights_bytes(model: Model, format_name: str) -> int:
    return sum(typed.bytes for typed in in_file(model, format_name))


def _assign(model: Model, format_name: str) -> tuple[TypedTensors, ...]:
    """Those first that no format changes."""
    return tuple(sorted(in_file(model, format_name), key=lambda typed: typed.group.tensor.keep is None))


@lru_cache(maxsize=128)  # one model in all formats
def in_file(model: Model, format_name: str) -> tuple[TypedTensors, ...]:
    """What ``assign`` gives, in the file's order, for a format by its exact name."""
    form = find_format(format_name)
    known = _layout(form, model)
    rules, found = _rules(form, known.facts), []
    for group, kept in zip(known.groups, _kept(model, form.vectors, _routers(form)), strict=True):
        if kept is not None:
            found.append(kept)
            continue
        for name, layers in _types(form, rules.get(group.role), group, known.facts):
            found.append(_weigh(group, _fit(name, group.tensor.cols), layers))
    return tuple(found)


def _layout(form: Format, model: Model) -> Layout:
    """The tensors as files of the format have them."""
    return _layout_of(model, form.vectors, _routers(form))


def _routers(form: Format) -> Routers | None:
    """None for files that hold the tensors as GGUF does."""
    return routers_of(form) if form.family == "mlx" else None


@lru_cache(maxsize=64)
def _layout_of(model: Model, vectors: str, mlx_routers: Routers | None) -> Layout:
    """The rope table is GGUF's own."""
    if mlx_routers:
        return mlx_layout(model, mlx_routers)
    known = layout(model)
    if vectors != "F16":
        return known
    return known._replace(
        groups=tuple(group for group in known.groups if group.tensor.name != "rope_freqs.weight")
    )


@lru_cache(maxsize=64)
def _kept(model: Model, vectors: str, mlx_routers: Routers | None) -> tuple[TypedTensors | None, ...]:
    """Of each group of the layout the type that no format changes; None where it is theirs to choose."""
    return tuple(
        _weigh(group, _kept_type(vectors, group), group.layers) if group.tensor.keep else None
        for group in _layout_of(model, vectors, mlx_routers).groups
    )


def _weigh(group: TensorGroup, name: str, layers: tuple[int, ...]) -> TypedTensors:
    """Those of a group in these layers, or the one outside of them."""
    tensor, weight_type, count = group.tensor, TYPES[name], len(layers) or 1
    size = count * tensor_bytes(weight_type, tensor.cols, tensor.rows, tensor.stack)
    if group.unused:
        read = 0
    elif (tensor.rows_read, tensor.stack_read) == (tensor.rows, tensor.stack):
        read = size
    else:
        read = count * tensor_bytes(weight_type, tensor.cols, tensor.rows_read, tensor.stack_read)
    return TypedTensors(group, name, count, layers, size, read)


_Typed = tuple[tuple[str, tuple[int, ...]], ...]
"""Types, each with the layers that have it."""


def _types(form: Format, rule: Rule | None, group: TensorGroup, facts: Facts) -> _Typed:
    """Types of a group's tensors before the check of columns."""
    if group.role == "output":
        return ((_output_type(form, group.tensor.cols, facts), group.layers),)
    if group.role == "token_embd":
        return ((form.token_embd or form.default, group.layers),)
    if form.stacks is not None:
        return ((form.stacks if group.tensor.stack > 1 else form.default, group.layers),)
    if rule is None:
        return ((_override(form, group.role, form.default, facts), group.layers),)
    return tuple(
        (_override(form, group.role, name, facts), layers)
        for name, layers in _split(form, rule, group, facts)
    )


def _output_type(form: Format, cols: int, facts: Facts) -> str:
    """Q8_0 for Falcon, and where a row isn't whole blocks: the default's, or of 256 in others' formats."""
    others = form.vectors != "F32" or form.family == "mlx"
    if form.default in _UNQUANTIZED or others or form.name in ("TL1", "TL2"):
        return form.output
    block = TYPES[form.default].block_weights if form.family == "gguf" else 256
    return "Q8_0" if cols % block or facts.falcon else form.output


def _split(form: Format, rule: Rule, group: TensorGroup, facts: Facts) -> _Typed:
    """The first condition that a tensor meets gives its type."""
    total = facts.attn_v_tensors if group.role == "attn_v" else facts.layers_in_file
    scope = Scope(total, facts.gqa, facts.experts)
    places = group.counters if form.low_bit else group.ordinals
    chosen = _deal(tuple(condition for condition, _ in rule), places, group.layers, scope)
    names = (*(name for _, name in rule), form.default)
    return tuple((name, layers) for name, layers in zip(names, chosen, strict=True) if layers)


def _rules(form: Format, facts: Facts) -> Mapping[str, Rule]:
    """The mix's rules by role. Falcon's attn_output has none but those that are its own."""
    if not facts.falcon or form.low_bit:
        return form.rules
    plain = {role: rule for role, rule in form.rules.items() if role != "attn_output"}
    return FALCON_RULES.get(form.name, plain)


@lru_cache(maxsize=8192)
def _deal(
    conditions: tuple[Condition, ...], places: tuple[int, ...], layers: tuple[int, ...], scope: Scope
) -> tuple[tuple[int, ...], ...]:
    """By condition the layers whose tensors are the first to meet it, and last those that meet none."""
    left, found = list(zip(places, layers, strict=True)), []
    for condition in conditions:
        chosen, left = _choose(condition, left, scope)
        found.append(tuple([layer for _, layer in chosen]))
    return (*found, tuple([layer for _, layer in left]))


_Places = list[tuple[int, int]]
"""Tensors by their place, each with its layer."""


def _choose(condition: Condition, left: _Places, scope: Scope) -> tuple[_Places, _Places]:
    """Those that meet the condition, and the others."""
    if (asked := _OF_MODELS.get(condition)) is not None:
        return (left, []) if asked(scope) else ([], left)
    meets = _OF_PLACES[condition]
    chosen = [one for one in left if meets(one[0], scope)]
    return chosen, [one for one in left if not meets(one[0], scope)]


_OF_MODELS: dict[Condition, Callable[[Scope], bool]] = {
    "always": lambda scope: True,
    "gqa4": lambda scope: scope.gqa >= 4,
    "gqa4 or moe": lambda scope: scope.gqa >= 4 or scope.experts >= 4,
    "8 experts": lambda scope: scope.experts == 8,
}

_OF_PLACES: dict[Condition, Callable[[int, Scope], bool]] = {
    "first 2": lambda i, scope: i < 2,
    "first 4": lambda i, scope: i < 4,
    "first sixteenth": lambda i, scope: i < scope.total // 16,
    "first eighth": lambda i, scope: i < scope.total // 8,
    "middle": lambda i, scope: scope.total // 8 <= i < 7 * scope.total // 8,
    "more bits": lambda i, scope: _more_bits(i, scope.total),
    "more bits of 8 experts": lambda i, scope: scope.experts == 8 and _more_bits(i, scope.total),
}


def _more_bits(i: int, total: int) -> bool:
    """use_more_bits() of llama-quant.cpp."""
    return i < total // 8 or i >= 7 * total // 8 or (i - total // 8) % 3 == 2


def _override(form: Format, role: str, name: str, facts: Facts) -> str:
    """What llama.cpp changes in all its mixes but the lowest: cheap tensors that matter."""
    if form.family != "gguf" or form.low_bit or form.default in _UNQUANTIZED:
        return name
    if facts.experts == 8 and role in ("attn_v", "attn_k"):
        return "Q8_0"
    if facts.class_70b and role == "attn_v" and name in ("Q3_K", "Q4_K"):
        return "Q5_K"
    return name


def _fit(name: str, cols: int) -> str:
    """The type, or its replacement where rows don't divide into whole blocks."""
    if name in _PADDED or cols % TYPES[name].block_weights == 0:
        return name
    fallback = _FALLBACK.get(name, name)
    return fallback if cols % TYPES[fallback].block_weights == 0 else "F16"


# Types of engines that pad or that state their bytes by a formula of their own.
_PADDED = frozenset(
    name for name, kind in TYPES.items() if kind.formula is not None or kind.row_bytes or kind.tensor_bytes
) | frozenset(name for name in TYPES if name.startswith("EXL2"))
