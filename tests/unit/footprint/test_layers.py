"""Bytes by layer are the same bytes."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from fitcheck.footprint.assignment import weights_bytes
from fitcheck.footprint.kv_cache import kv_bytes, kv_read_bytes
from fitcheck.footprint.layers import by_layer, by_layer_of_file, cache_by_layer
from fitcheck.footprint.memory import Choices
from fitcheck.footprint.mixes import FORMATS
from fitcheck.footprint.reads import tally
from fitcheck.schema.engine import AttentionRate
from fitcheck.schema.model import Model
from fitcheck.sources.catalog import load_model
from fitcheck.sources.resolve import resolve
from fitcheck.speed.attention import Attending, attention_s

MODELS = st.from_type(Model)


@given(MODELS, st.sampled_from(sorted(FORMATS)))
def test_layers_tables_and_output_are_the_file(model: Model, form: str) -> None:
    weights = by_layer(model, form)
    inside = weights.dense[-1] + weights.experts[-1]
    assert inside + weights.tables - weights.copied == weights_bytes(model, form)
    assert tally(model, form).expert_bytes == weights.experts[-1]
    assert list(weights.dense) == sorted(weights.dense)


@given(MODELS, st.integers(1, 40_000), st.integers(1, 4), st.sampled_from(("on", "off")))
def test_layers_caches_are_the_cache(model: Model, context: int, slots: int, flash: str) -> None:
    sums = cache_by_layer(model, context, Choices("f16", slots, 512, flash))  # type: ignore[arg-type]
    whole = kv_bytes(model, context, slots=slots, flash_attention=flash)  # type: ignore[arg-type]
    assert sums[-1] == whole
    assert len(sums) == by_layer(model, "F16").layers + 1


@given(MODELS, st.integers(0, 10_000), st.data())
def test_reads_of_spans_add_up(model: Model, depth: int, data: st.DataObject) -> None:
    layers = len(model.layers)
    cut = data.draw(st.integers(0, layers))
    parts = (range(cut), range(cut, layers))
    assert sum(kv_read_bytes(model, depth, "f16", part) for part in parts) == kv_read_bytes(model, depth)
    by = Attending(AttentionRate("f16", flash_attention=False, products_per_s=1.0), 256, "f16")
    assert sum(attention_s(model, depth, by, part) for part in parts) == approx(attention_s(model, depth, by))


def test_better_types_lie_in_the_layers_the_mix_says() -> None:
    """Q4_K_M gives the first and last eighth of 32 layers a Q6_K ffn_down, and every third between."""
    weights = by_layer(load_model("llama-3.1-8b"), "Q4_K_M")
    sizes = [b - a for a, b in zip(weights.dense, weights.dense[1:], strict=False)][:32]
    large = {n for n, size in enumerate(sizes) if size == max(sizes)}
    assert large == {*range(4), 6, 9, 12, 15, 18, 21, 24, 27, *range(28, 32)}


def test_a_files_layers_are_its_own(tiny_gguf: Path) -> None:
    """Not those a mix's rules would give: what the file holds of each layer counts."""
    found = resolve(str(tiny_gguf))
    assert found.file
    weights = by_layer_of_file(found.model, found.file)
    inside = weights.dense[-1] + weights.experts[-1]
    assert inside + weights.tables - weights.copied == found.file.tensor_bytes
    assert [b - a for a, b in pairwise(weights.dense)][:-1] == [dense for dense, _ in found.file.layers]
    spread = by_layer_of_file(found.model, replace(found.file, layers=()))
    assert spread.layers == weights.layers == len(found.model.layers) + 1
    assert spread.dense[-1] + spread.tables - spread.copied >= found.file.tensor_bytes
