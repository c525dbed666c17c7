"""What each newer mechanism keeps and stores, by figures from outside fitcheck."""

import pytest

from fitcheck.footprint.kv_cache import kv_bytes
from fitcheck.footprint.tensors import active_parameters, layout, parameters, tensors
from fitcheck.schema.model import Attention, CompressedAttention
from fitcheck.sources.catalog import load_model

MIB = 1 << 20


def held(stem: str) -> int:
    """Tensors of the model's file, those that the footprint counts together told apart."""
    found = 0
    for group in tensors(load_model(stem)):
        together = {"norms": group.tensor.rows}.get(group.tensor.name, 1)
        found += group.tensors * together
    return found


# Files of Gemma 4 E hold keys and values of all layers: tensors counted by loaders' logs
# (ggml-org/llama.cpp issue 21328 for E4B).
@pytest.mark.parametrize(("stem", "count"), [("gemma-4-e2b", 601), ("gemma-4-e4b", 720)])
def test_gemmas_that_share_caches_hold_all_keys_and_values(stem, count):
    assert held(stem) == count


def test_borrowed_keys_and_values_are_not_read():
    model = load_model("gemma-4-e2b")
    unread = sum(g.tensor.weights * g.tensors for g in tensors(model) if not g.tensor.rows_read)
    assert unread > 0
    assert active_parameters(model) <= parameters(model) - unread


@pytest.mark.parametrize("stem", ["rwkv6-1.6b", "rwkv7-1.5b", "mamba-130m"])
def test_models_without_attention_keep_the_same_whatever_the_context(stem):
    model = load_model(stem)
    assert layout(model).caches == ()
    assert kv_bytes(model, 512) == kv_bytes(model, 65536) > 0


def test_rwkv_keeps_a_square_a_head_and_two_rows():
    """llama.cpp: n_embd_s = hidden x head size, n_embd_r = 2 x hidden, in F32."""
    model = load_model("rwkv6-1.6b")
    assert kv_bytes(model, 4096) == 4 * len(model.layers) * (64 + 2) * model.hidden_size


def test_attention_and_state_side_by_side_both_count():
    model = load_model("falcon-h1-0.5b")
    rows = 2 * sum(cache.key + cache.value for cache, layers in layout(model).caches for _ in range(layers))
    grown = kv_bytes(model, 8192) - kv_bytes(model, 4096)
    assert grown == 4096 * rows
    assert kv_bytes(model, 4096) - grown == 4 * layout(model).state_elements


@pytest.mark.parametrize("stem", ["deepseek-v3.2", "glm-5"])
def test_an_indexer_keeps_a_key_a_token(stem):
    """In a cache of its own, 128 wide, besides the compressed row of 576."""
    assert {(cache.key, cache.value) for cache, _ in layout(load_model(stem)).caches} == {(576, 0), (128, 0)}


def test_compressed_rows_grow_with_the_context_only_as_their_ratio_says():
    model = load_model("deepseek-v4-flash")
    ratios = {la.mixer.ratio for la in model.layers if isinstance(la.mixer, CompressedAttention)}
    assert ratios == {None, 4, 128}
    whole = 2 * 512 * len(model.layers)  # F16, were each token's row kept
    grown = kv_bytes(model, 131072) - kv_bytes(model, 65536)
    assert 0 < grown < 65536 * whole / 6


def test_slots_of_compressed_attention_never_share_cells():
    model = load_model("deepseek-v4-flash")
    one, four = (kv_bytes(model, 65536, slots=slots, unified=True) for slots in (1, 4))
    assert four > 3 * one


def test_a_gate_is_a_matrix_of_the_attention():
    model = load_model("trinity-mini")
    mixer = model.layers[0].mixer
    assert isinstance(mixer, Attention)
    gate = next(g for g in tensors(model) if g.tensor.name == "attn_gate.weight")
    assert gate.tensor.rows == mixer.gate_size == mixer.heads * mixer.head_dim
