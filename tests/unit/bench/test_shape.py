"""A run multiplies by exactly the matrices that the byte accounting counts."""

from collections import Counter

import pytest

from fitcheck.bench.shape import DecodeShape, Packed, decode_shape, weights_by_width
from fitcheck.errors import BadInput
from fitcheck.footprint.assignment import assign
from fitcheck.footprint.formats import tensor_bytes
from fitcheck.footprint.mixes import TYPES
from fitcheck.footprint.reads import read_groups
from fitcheck.sources.resolve import resolve_model


def matrices(shape: DecodeShape) -> list[Packed]:
    found = [shape.output] if shape.tied else [shape.output, shape.embedding]
    for layer in shape.layers:
        found += [layer.query, layer.key, layer.value, layer.output]
        for ffn in layer.ffns:
            found += [w for w in (ffn.gate, ffn.up, ffn.down) if w is not None]
    return found


@pytest.mark.parametrize("name", ["llama-3.1-70b", "bitnet-2b", "qwen3-30b-a3b", "llama-3.2-1b"])
@pytest.mark.parametrize("form", ["Q4_K_M", "TQ1_0", "F16", "trit5"])
def test_same_bytes_of_every_type(name: str, form: str) -> None:
    model = resolve_model(name)
    counted: Counter[str] = Counter()
    for typed in assign(model, form):
        if typed.group.tensor.keep is None:
            counted[typed.type] += typed.bytes
    run: Counter[str] = Counter()
    for packed in matrices(decode_shape(model, form, 256)):
        run[packed.type] += tensor_bytes(TYPES[packed.type], packed.cols, packed.rows)
    assert run == counted


@pytest.mark.parametrize("name", ["llama-3.1-70b", "bitnet-2b", "qwen3-30b-a3b"])
def test_a_step_multiplies_what_a_token_reads(name: str) -> None:
    """All but the looked-up row of the embedding and the F32 vectors."""
    model = resolve_model(name)
    read = {group.type: group.weights for group in read_groups(model, "Q8_0")}
    multiplied = Counter(weights_by_width(decode_shape(model, "Q8_0", 256)))
    row = 0 if model.tied_embeddings else model.hidden_size
    assert sum(multiplied.values()) == read["Q8_0"] - row


def test_types_are_spread_over_the_layers() -> None:
    """Half of a Q4_K_M's attn_v tensors are Q6_K; a part of the layers has its share of both."""
    shape = decode_shape(resolve_model("8b"), "Q4_K_M", 256)
    first = Counter(layer.value.type for layer in shape.layers[:16])
    second = Counter(layer.value.type for layer in shape.layers[16:])
    assert first.keys() == second.keys() == {"Q4_K", "Q6_K"}
    assert abs(first["Q6_K"] - second["Q6_K"]) <= 1


def test_what_cannot_run_is_said() -> None:
    with pytest.raises(BadInput, match="can't run"):
        decode_shape(resolve_model("deepseek-v3"), "Q4_K_M", 256)
