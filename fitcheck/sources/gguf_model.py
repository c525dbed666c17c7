"""GgufFile -> Model: the shape, from metadata where it must be said and tensors where they show it.

A file holds its own truth: a layer has the mixer whose tensors it has. Only
what no tensor shows (heads, windows, how many experts a token takes) comes
from metadata. A mixer that can't be told is an error, for its cache would be
counted as nothing; unknown feed-forward sizes are said in the model's note.
"""

from math import prod

from fitcheck.errors import BadInput
from fitcheck.schema.model import AltUp, Attention, LatentAttention, Layer, Model, PerLayerEmbedding
from fitcheck.sources.binary_file import shown
from fitcheck.sources.gguf_blocks import Block, Shapes, columns, rows
from fitcheck.sources.gguf_file import GgufFile
from fitcheck.sources.gguf_layers import ffns_of, mixers_of
from fitcheck.sources.gguf_metadata import MOST_LAYERS, Metadata
from fitcheck.sources.gguf_types import BITNET_TYPES
from fitcheck.sources.gguf_weights import BLOCK, file_weights, prediction_blocks
from fitcheck.sources.gguf_windows import windows
from fitcheck.units import gb

_NO_MODEL = {
    "adapter": "a LoRA adapter",
    "mmproj": "a vision or audio projector",
    "imatrix": "an importance matrix",
    "clip": "a vision or audio projector",
    "controlvector": "a control vector",
}
_NOT_LAYER_NORMS = (
    "attn_q_",
    "attn_k_",
    "attn_kv_",
    "attn_sub_",
    "ffn_sub_",
    "ssm_",
    "nextn.",
    "indexer",
    "post_norm.",
    "altup_",
    "laurel_",
    "time_mix_",
)


def model_of(gguf: GgufFile) -> Model:
    """The model's shape. Raises BadInput where the file isn't one language model, or contradicts itself."""
    metadata = Metadata(gguf.name, gguf.metadata)
    _require_model(gguf, metadata)
    outside, blocks = _sorted(gguf)
    hidden = metadata.need("embedding_length", columns(outside, "token_embd.weight"))
    if hidden < 1:
        raise metadata.bad("doesn't say its embedding_length")
    layers, unknown = _layers(gguf, metadata, blocks, hidden)
    unread = prediction_blocks(metadata)
    tied = "output.weight" not in outside
    return Model(
        name=metadata.text("general.name") or gguf.name.removesuffix(".gguf"),
        source=gguf.name,
        architecture=metadata.architecture or "unknown",
        hidden_size=hidden,
        vocab_size=rows(outside, "token_embd.weight") or metadata.need("vocab_size", 0),
        layers=layers,
        tied_embeddings=tied,
        context_max=metadata.number("context_length") or None,
        parameters=_parameters(gguf, unread),
        trained_ternary=_trained_ternary(gguf, metadata),
        rope_freqs=columns(outside, "rope_freqs.weight"),
        per_layer_embedding=_per_layer_embedding(outside, len(layers)),
        altup=_altup(outside, blocks),
        hyper_connections=metadata.number("hyper_connection.count") or 0,
        residual_scores="output_res_score.weight" in outside,
        embedding_norm={"token_embd_norm.weight", "output_norm.weight"} <= outside.keys(),  # not LFM2
        output_norm=not outside.keys().isdisjoint(("output_norm.weight", "token_embd_norm.weight")),
        norm_bias="output_norm.bias" in outside,
        output_bias="output.bias" in outside,
        nextn_layers=_prediction_layers(layers, sum(number in blocks for number in unread)),
        note=_note(unknown),
    )


def _require_model(gguf: GgufFile, metadata: Metadata) -> None:
    for said in (metadata.text("general.type"), metadata.architecture):
        if said in _NO_MODEL:
            raise BadInput(f"{gguf.name} is {_NO_MODEL[said]}, not a model", "give the model it belongs to")
    if not gguf.tensors:
        raise BadInput(f"{gguf.name} holds no weights, only a vocabulary", "give the model's own file")


def _sorted(gguf: GgufFile) -> tuple[Shapes, dict[int, Shapes]]:
    """Shapes by name: outside the layers, and of each layer without its prefix."""
    outside: Shapes = {}
    blocks: dict[int, Shapes] = {}
    for tensor in gguf.tensors:
        block = BLOCK.fullmatch(tensor.name)
        if block is None:
            outside[tensor.name] = tensor.shape
        else:
            blocks.setdefault(int(block[1]), {})[block[2]] = tensor.shape
    return outside, blocks


def _layers(
    gguf: GgufFile, metadata: Metadata, blocks: dict[int, Shapes], hidden: int
) -> tuple[tuple[Layer, ...], list[str]]:
    """The layers that decode runs, and what of them could not be read."""
    count = prediction_blocks(metadata).start if metadata.number("block_count") else len(blocks)
    there = blocks.keys() | _empty(metadata, min(count, MOST_LAYERS))
    missing = [number for number in range(min(count, MOST_LAYERS)) if number not in there]
    if count > MOST_LAYERS or (missing and blocks):
        raise metadata.bad(f"claims {count} layers and holds the tensors of {len(blocks)}")
    if missing:
        raise _without_cache(gguf, "no tensors that it names by layer")
    heads = Block.all(metadata, count, hidden, windows(metadata, count))
    unknown: list[str] = []
    strange: list[str] = []
    same: dict[object, Layer] = {}
    layers = []
    for number, block in enumerate(heads):
        shapes = blocks.get(number, {})
        key = (block, tuple(shapes.items()))
        if key not in same:
            same[key] = _layer(block, shapes, unknown, strange)
        layers.append(same[key])
    if strange:
        raise _without_cache(gguf, strange[0])
    return tuple(layers), list(dict.fromkeys(unknown))


def _empty(metadata: Metadata, count: int) -> set[int]:
    """Layers of which nothing is left, no heads and no feed-forward part: Nemotron Ultra has some."""
    heads = metadata.flags("attention.head_count", count)
    sizes = metadata.flags("feed_forward_length", count)
    if heads is None or sizes is None:
        return set()
    return {number for number in range(count) if not heads[number] and not sizes[number]}


def _without_cache(gguf: GgufFile, strange: str) -> BadInput:
    """What is said rather than a plan whose cache or state would be missing."""
    return BadInput(
        f"{gguf.name} has layers with {shown(strange)}: their cache or state is unknown to fitcheck",
        f"its weights are {gb(file_weights(gguf).tensor_bytes)} exactly; "
        "for a plan, name a model of the same shape from `fitcheck models`",
    )


def _layer(block: Block, shapes: Shapes, unknown: list[str], strange: list[str]) -> Layer:
    ffns = ffns_of(block, shapes, unknown)
    mixer, beside, *_ = *mixers_of(block, shapes, strange), None, None
    return Layer(mixer, ffns, _norms(shapes, block.hidden), _scalars(shapes), beside)


def _norms(shapes: Shapes, hidden: int) -> int:
    """Vectors of the hidden size that normalise the layer itself, not its heads or its own embedding."""
    return sum(
        "norm" in name
        and shape == (hidden,)
        and name.endswith(".weight")
        and not name.startswith(_NOT_LAYER_NORMS)
        for name, shape in shapes.items()
    )


def _scalars(shapes: Shapes) -> int:
    """Elements of scales that are no norms: of the layer's output, of each expert (Gemma 4)."""
    found = (shape for name, shape in shapes.items() if _is_scale(name))
    return sum(prod(shape) for shape in found)


def _is_scale(name: str) -> bool:
    return name.startswith("layer_output_scale.") or name.endswith(".scale")


def _per_layer_embedding(outside: Shapes, layers: int) -> PerLayerEmbedding | None:
    name = "per_layer_token_embd.weight"
    if name not in outside or not layers:
        return None
    return PerLayerEmbedding(columns(outside, name) // layers, rows(outside, name))


def _altup(outside: Shapes, blocks: dict[int, Shapes]) -> AltUp | None:
    if "altup_proj.weight" not in outside:
        return None
    first = blocks.get(0, {})
    return AltUp(columns(first, "altup_correct_coef.weight"), rows(first, "laurel_l.weight"))


def _prediction_layers(layers: tuple[Layer, ...], found: int) -> int:
    """Layers of multi-token prediction. Their shape is the last layers', so there must be such layers."""
    attention = any(isinstance(layer.mixer, Attention | LatentAttention) for layer in layers)
    return found if attention and any(layer.ffns for layer in layers) else 0


def _parameters(gguf: GgufFile, unread: range) -> int:
    """Elements of all tensors but those of multi-token prediction, as llama.cpp counts them."""
    blocks = ((BLOCK.fullmatch(tensor.name), tensor) for tensor in gguf.tensors)
    return sum(tensor.weights for block, tensor in blocks if block is None or int(block[1]) not in unread)


def _trained_ternary(gguf: GgufFile, metadata: Metadata) -> bool:
    return "bitnet" in metadata.architecture or any(tensor.type in BITNET_TYPES for tensor in gguf.tensors)


def _note(unknown: list[str]) -> str | None:
    if not unknown:
        return None
    listed = ", ".join(shown(item) for item in unknown[:4])
    return f"weights are exact; unknown to fitcheck: {listed}"
