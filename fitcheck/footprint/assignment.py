"""Which type each tensor of a model takes in a format, and what that weighs."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from fitcheck.footprint.conditions import Scope, deal, settle
from fitcheck.footprint.formats import tensor_bytes
from fitcheck.footprint.mechanisms import Tensor
from fitcheck.footprint.mix import Format, Rule
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


class Scheme(NamedTuple):
    """What formats share that keep the same tensors as they are."""

    vectors: str  # their type
    mlx_routers: Routers | None  # None: files that hold the tensors as GGUF does


def scheme_of(form: Format) -> Scheme:
    return Scheme(form.vectors, routers_of(form) if form.family == "mlx" else None)


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
    """Every tensor of the file with its type, grouped, those first that none changes. Raises UnknownName."""
    form = find_format(format_name)
    return (*kept(model, scheme_of(form)), *chosen(model, form))


def weights_bytes(model: Model, format_name: str) -> int:
    """Bytes of all tensors of the file, without its metadata and alignment."""
    return _weights_bytes(model, find_format(format_name).name)


@lru_cache(maxsize=4096)
def _weights_bytes(model: Model, format_name: str) -> int:
    return sum(typed.bytes for typed in assign(model, format_name))


def in_file(model: Model, format_name: str) -> Iterator[TypedTensors]:
    """What ``assign`` gives, in the file's order."""
    form = find_format(format_name)
    scheme, left = scheme_of(form), iter(chosen(model, form))
    typed = next(left, None)
    for group, same in zip(_layout_of(model, scheme).groups, _kept(model, scheme), strict=True):
        if same is not None:
            yield same
        while typed is not None and typed.group is group:
            yield typed
            typed = next(left, None)


@lru_cache(maxsize=64)
def kept(model: Model, scheme: Scheme) -> tuple[TypedTensors, ...]:
    """Tensors whose type no format of the scheme changes."""
    return tuple(filter(None, _kept(model, scheme)))


def chosen(model: Model, form: Format) -> tuple[TypedTensors, ...]:
    """Tensors whose type is the format's choice."""
    return _chosen(model, form.name)


@lru_cache(maxsize=128)  # one model in all formats
def _chosen(model: Model, format_name: str) -> tuple[TypedTensors, ...]:
    form, found = find_format(format_name), []
    facts, free = _free(model, scheme_of(form))
    rules = _rules(form, facts)
    told = _told(form, rules, facts)
    for group in free:
        cols = group.tensor.cols
        if group.role in told or form.stacks:
            for name, layers in _types(form, rules.get(group.role), group, facts):
                found.append(_weigh(group, _fit(name, cols), layers))
        else:
            found.append(_weigh(group, _fit(form.default, cols), group.layers))
    return tuple(found)


def _told(form: Format, rules: Mapping[str, Rule], facts: Facts) -> set[str]:
    """Roles whose tensors may differ from the mix's default."""
    return {"output", "token_embd", *rules, *(_MATTER if _matters(form, facts) else ())}


def _layout(form: Format, model: Model) -> Layout:
    """The tensors as files of the format have them."""
    return _layout_of(model, scheme_of(form))


@lru_cache(maxsize=64)
def _layout_of(model: Model, scheme: Scheme) -> Layout:
    """The rope table is GGUF's own."""
    if scheme.mlx_routers:
        return mlx_layout(model, scheme.mlx_routers)
    known = layout(model)
    if scheme.vectors != "F16":
        return known
    return known._replace(
        groups=tuple(group for group in known.groups if group.tensor.name != "rope_freqs.weight")
    )


@lru_cache(maxsize=64)
def _kept(model: Model, scheme: Scheme) -> tuple[TypedTensors | None, ...]:
    """Of each group of the layout the type that no format changes; None where it is theirs to choose."""
    return tuple(
        _weigh(group, _kept_type(scheme.vectors, group), group.layers) if group.tensor.keep else None
        for group in _layout_of(model, scheme).groups
    )


@lru_cache(maxsize=64)
def _free(model: Model, scheme: Scheme) -> tuple[Facts, tuple[TensorGroup, ...]]:
    """The groups whose type is a format's choice, and what it asks of the model."""
    groups, facts, *_ = _layout_of(model, scheme)
    return facts, tuple(group for group in groups if not group.tensor.keep)


def _weigh(group: TensorGroup, name: str, layers: tuple[int, ...]) -> TypedTensors:
    """Those of a group in these layers, or the one outside of them."""
    _, _, cols, rows, stack, _, rows_read, stack_read = group.tensor
    kind, count = TYPES[name], len(layers) or 1
    size = read = count * tensor_bytes(kind, cols, rows, stack)
    if group.unused:
        read = 0
    elif rows_read != rows or stack_read != stack:
        read = count * tensor_bytes(kind, cols, rows_read, stack_read)
    return TypedTensors(group, name, count, layers, size, read)


_Typed = tuple[tuple[str, tuple[int, ...]], ...]
"""Types, each with the layers that have it."""


def _types(form: Format, rule: Rule | None, group: TensorGroup, facts: Facts) -> _Typed:
    """Types of a group's tensors before the check of columns."""
    role, layers = group.role, group.layers
    if role == "output":
        return ((_output_type(form, group.tensor.cols, facts), layers),)
    if role == "token_embd":
        return ((form.token_embd or form.default, layers),)
    if form.stacks is not None:
        return ((form.stacks if group.tensor.stack > 1 else form.default, layers),)
    if rule is None:
        return ((_override(form, role, form.default, facts), layers),)
    return tuple(
        [(_override(form, role, name, facts), there) for name, there in _split(form, rule, group, facts)]
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
    scope = Scope(
        facts.attn_v_tensors if group.role == "attn_v" else facts.layers_in_file, facts.gqa, facts.experts
    )
    some, others = settle(rule, form.default, scope)
    if not some:
        return ((others, group.layers),)
    places = group.counters if form.low_bit else group.ordinals
    dealt = deal(tuple([condition for condition, _ in some]), places, group.layers, scope)
    names = (*(name for _, name in some), others)
    return tuple([(name, layers) for name, layers in zip(names, dealt, strict=True) if layers])


def _rules(form: Format, facts: Facts) -> Mapping[str, Rule]:
    """The mix's rules by role. Falcon's attn_output has none but those that are its own."""
    if not facts.falcon or form.low_bit:
        return form.rules
    plain = {role: rule for role, rule in form.rules.items() if role != "attn_output"}
    return FALCON_RULES.get(form.name, plain)


def _override(form: Format, role: str, name: str, facts: Facts) -> str:
    """What llama.cpp changes in all its mixes but the lowest: cheap tensors that matter."""
    if role not in _MATTER or not _matters(form, facts):
        return name
    if facts.experts == 8:
        return "Q8_0"
    return "Q5_K" if role == "attn_v" and name in ("Q3_K", "Q4_K") else name


_MATTER = ("attn_v", "attn_k")


def _matters(form: Format, facts: Facts) -> bool:
    """Whether such a model's cheap tensors get better types."""
    quantized = form.family == "gguf" and form.default not in _UNQUANTIZED
    return quantized and not form.low_bit and (facts.experts == 8 or facts.class_70b)


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
