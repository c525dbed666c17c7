"""Which type each tensor of a model takes in a format, and what that weighs."""

from collections.abc import Callable, Iterator, Mapping
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
            weighed = _weigh(group, name, 1)
            found.append(Placed(layer, group.tensor, name, weighed.bytes, group.unused))
    return tuple(found)


def _type_at(form: Format, group: TensorGroup, place: int, facts: Facts) -> str:
    """The type of one tensor of a group: the rules, asked for its place alone."""
    if group.tensor.keep is not None:
        return _kept_type(form.vectors, group)
    here = slice(place, place + 1)
    one = group._replace(tensors=1, ordinals=group.ordinals[here], counters=group.counters[here])
    ((name, _),) = _types(form, one, facts)
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
    return sum(typed.bytes for typed in _assign(model, format_name))


@lru_cache(maxsize=4096)
def _assign(model: Model, format_name: str) -> tuple[TypedTensors, ...]:
    form = find_format(format_name)
    known = _layout(form, model)
    kept = _kept(model, form.vectors, _routers(form))
    return kept + tuple(
        _weigh(group, _fit(name, group.tensor.cols), count)
        for group in known.groups
        if group.tensor.keep is None
        for name, count in _types(form, group, known.facts)
    )


def _layout(form: Format, model: Model) -> Layout:
    return _layout_of(model, _routers(form))


def _routers(form: Format) -> Routers | None:
    """None for files that hold the tensors as GGUF does."""
    return routers_of(form) if form.family == "mlx" else None


def _layout_of(model: Model, mlx_routers: Routers | None) -> Layout:
    """The tensors as files of the format have them."""
    return mlx_layout(model, mlx_routers) if mlx_routers else layout(model)


@lru_cache(maxsize=1024)
def _kept(model: Model, vectors: str, mlx_routers: Routers | None) -> tuple[TypedTensors, ...]:
    """Tensors no format quantizes. The rope table is GGUF's own."""
    return tuple(
        _weigh(group, _kept_type(vectors, group), group.tensors)
        for group in _layout_of(model, mlx_routers).groups
        if group.tensor.keep and not (vectors == "F16" and group.tensor.name == "rope_freqs.weight")
    )


def _weigh(group: TensorGroup, name: str, count: int) -> TypedTensors:
    tensor, weight_type = group.tensor, TYPES[name]
    size = count * tensor_bytes(weight_type, tensor.cols, tensor.rows, tensor.stack)
    if group.unused:
        read = 0
    elif (tensor.rows_read, tensor.stack_read) == (tensor.rows, tensor.stack):
        read = size
    else:
        read = count * tensor_bytes(weight_type, tensor.cols, tensor.rows_read, tensor.stack_read)
    return TypedTensors(group, name, count, size, read)


def _types(form: Format, group: TensorGroup, facts: Facts) -> Iterator[tuple[str, int]]:
    """Types of a group's tensors before the check of columns, with how many take each."""
    if group.role == "output":
        yield _output_type(form, group.tensor.cols, facts), group.tensors
    elif group.role == "token_embd":
        yield form.token_embd or form.default, group.tensors
    elif form.stacks is not None:
        yield form.stacks if group.tensor.stack > 1 else form.default, group.tensors
    else:
        for name, places in _split(form, group, facts):
            yield _override(form, group.role, name, facts), len(places)


def _output_type(form: Format, cols: int, facts: Facts) -> str:
    """Q8_0 for Falcon, and where a row isn't whole blocks: the default's, or of 256 in others' formats."""
    others = form.vectors != "F32" or form.family == "mlx"
    if form.default in _UNQUANTIZED or others or form.name in ("TL1", "TL2"):
        return form.output
    block = TYPES[form.default].block_weights if form.family == "gguf" else 256
    return "Q8_0" if cols % block or facts.falcon else form.output


def layers_by_type(model: Model, format_name: str) -> tuple[tuple[TypedTensors, tuple[int, ...]], ...]:
    """What ``assign`` gives for tensors in layers, with the layers that hold them."""
    form = find_format(format_name)
    known = _layout(form, model)
    return tuple(
        (_weigh(group, _type_of(form, group, name), len(layers)), layers)
        for group in known.groups
        if group.layers and not (form.vectors == "F16" and group.tensor.name == "rope_freqs.weight")
        for name, layers in _layers(form, group, known.facts)
    )


def _type_of(form: Format, group: TensorGroup, name: str) -> str:
    if group.tensor.keep is not None:
        return form.vectors if group.tensor.keep == "F32" else group.tensor.keep
    return _fit(name, group.tensor.cols)


def _layers(form: Format, group: TensorGroup, facts: Facts) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The types of a group's tensors, each with its layers."""
    if group.tensor.keep is not None or form.stacks is not None:
        yield from ((name, group.layers) for name, _ in _types(form, group, facts))
        return
    every = _places(form, group)
    for name, places in _split(form, group, facts):
        layers = group.layers
        if len(places) < len(every):
            layer_of = dict(zip(every, layers, strict=True))
            layers = tuple(layer_of[place] for place in places)
        yield _override(form, group.role, name, facts), layers


def _places(form: Format, group: TensorGroup) -> tuple[int, ...]:
    return group.counters if form.low_bit else group.ordinals


def _split(form: Format, group: TensorGroup, facts: Facts) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Apply the role's rule: the first condition that a tensor meets gives its type. With their places."""
    left = _places(form, group)
    total = facts.attn_v_tensors if group.role == "attn_v" else facts.layers_in_file
    scope = Scope(total, facts.gqa, facts.experts)
    for condition, name in _rules(form, facts).get(group.role, ()):
        chosen, left = _choose(condition, left, scope)
        if chosen:
            yield name, chosen
    if left:
        yield form.default, left


def _rules(form: Format, facts: Facts) -> Mapping[str, Rule]:
    """The mix's rules by role. Falcon's attn_output has none but those that are its own."""
    if not facts.falcon or form.low_bit:
        return form.rules
    plain = {role: rule for role, rule in form.rules.items() if role != "attn_output"}
    return FALCON_RULES.get(form.name, plain)


@lru_cache(maxsize=8192)
def _choose(
    condition: Condition, places: tuple[int, ...], scope: Scope
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The places whose tensors meet the condition, and the others."""
    meets = _CONDITIONS[condition]
    chosen = tuple(i for i in places if meets(i, scope))
    return chosen, tuple(i for i in places if not meets(i, scope))


_CONDITIONS: dict[Condition, Callable[[int, Scope], bool]] = {
    "always": lambda i, scope: True,
    "gqa4": lambda i, scope: scope.gqa >= 4,
    "gqa4 or moe": lambda i, scope: scope.gqa >= 4 or scope.experts >= 4,
    "8 experts": lambda i, scope: scope.experts == 8,
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
