import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitcheck.errors import BadInput, UnknownName
from fitcheck.footprint.kv_cache import (
    KV_TYPES,
    kv_bytes,
    kv_read_bytes,
    owned_caches,
    pad_context,
    state_bytes,
)
from fitcheck.schema.model import Attention, FeedForward, Layer, Model

MODELS = st.from_type(Model)
CONTEXTS = st.integers(1, 300_000)
SLOTS = st.integers(1, 8)
FLOATS = st.sampled_from(("f32", "f16", "bf16"))


def of(*mixers):
    layers = tuple(Layer(mixer, (FeedForward(512),)) for mixer in mixers)
    return Model("mixers", "test", "gemma4", 1024, 1000, layers, True, None)


def test_a_70b_model_keeps_320_kib_a_token(llama_70b):
    assert kv_bytes(llama_70b, 4096) == 1342177280
    assert kv_bytes(llama_70b, 4097) == kv_bytes(llama_70b, 4352)


ELEMENT_BYTES = {
    "f32": 4, "f16": 2, "bf16": 2, "q8_0": 1.0625, "q5_1": 0.75, "q5_0": 0.6875, "q4_1": 0.625,
    "q4_0": 0.5625, "iq4_nl": 0.5625,
}  # fmt: skip


@pytest.mark.parametrize(("kv_type", "bytes_per_element"), ELEMENT_BYTES.items())
def test_kv_types_have_the_overhead_of_their_blocks(llama_70b, kv_type, bytes_per_element):
    assert kv_bytes(llama_70b, 256, kv_type) == 80 * 2 * 1024 * 256 * bytes_per_element


def test_windowed_layers_keep_a_window_and_a_micro_batch():
    model = of(Attention(8, 4, 256, window=1024), Attention(8, 4, 256))
    windowed, full = owned_caches(model, 32768)
    assert (windowed.cells, full.cells) == (1536, 32768)
    assert owned_caches(model, 32768, ubatch=2048)[0].cells == 3072
    assert owned_caches(model, 512)[0].cells == 512


def test_borrowed_caches_are_read_but_not_kept():
    lender, borrower = Attention(8, 2, 256), Attention(8, 2, 256, owns_kv=False)
    assert kv_bytes(of(lender, borrower), 4096) == kv_bytes(of(lender), 4096)
    assert kv_read_bytes(of(lender, borrower), 4096) == 2 * kv_read_bytes(of(lender), 4096)


def test_transposed_values_are_padded_to_the_widest_layer():
    model = of(Attention(8, 2, 512), Attention(8, 8, 256, window=512))
    narrow, wide = owned_caches(model, 4096, flash_attention="off")
    assert narrow.value == wide.value == 2048
    assert owned_caches(model, 4096)[0].value == 1024


def test_quantized_values_need_flash_attention(llama_70b):
    with pytest.raises(BadInput, match="flash attention"):
        kv_bytes(llama_70b, 4096, "q8_0", flash_attention="off")


def test_unknown_types_are_named(llama_70b):
    with pytest.raises(UnknownName, match="q3_0"):
        kv_bytes(llama_70b, 4096, "q3_0")
    assert kv_bytes(llama_70b, 4096, "Q8_0") == kv_bytes(llama_70b, 4096, "q8_0")


@given(MODELS, CONTEXTS, CONTEXTS, SLOTS, st.booleans())
def test_more_context_never_needs_less(model, one, other, slots, unified):
    less, more = sorted((one, other))
    asked = {"slots": slots, "unified": unified}
    assert kv_bytes(model, less, **asked) <= kv_bytes(model, more, **asked)


@given(MODELS, CONTEXTS)
def test_fewer_bits_never_take_more(model, context):
    by_bits = ["f32", "f16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]
    sizes = [kv_bytes(model, context, kv_type) for kv_type in by_bits]
    assert sizes == sorted(sizes, reverse=True)


@given(MODELS, CONTEXTS, SLOTS, FLOATS, st.sampled_from(("on", "off", "auto")))
def test_caches_and_state_add_up(model, context, slots, kv_type, flash):
    asked = {"slots": slots, "flash_attention": flash}
    caches = owned_caches(model, context, kv_type, **asked)
    assert kv_bytes(model, context, kv_type, **asked) == state_bytes(model, slots) + sum(
        c.bytes for c in caches
    )
    assert all(cache.cells % 256 == 0 for cache in caches)


@given(MODELS, CONTEXTS, st.sampled_from(KV_TYPES))
def test_reading_all_of_a_full_cache_is_at_most_what_is_kept_and_borrowed(model, depth, kv_type):
    owned = all(layer.mixer is None or getattr(layer.mixer, "owns_kv", True) for layer in model.layers)
    if owned:
        assert kv_read_bytes(model, depth, kv_type) <= kv_bytes(model, depth, kv_type)
    assert kv_read_bytes(model, 0, kv_type) == state_bytes(model)


@given(CONTEXTS)
def test_contexts_grow_to_256_cells(context):
    padded = pad_context(context)
    assert padded % 256 == 0
    assert 0 <= padded - context < 256
