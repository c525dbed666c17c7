import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitcheck.errors import BadInput
from fitcheck.footprint.assignment import weights_bytes
from fitcheck.footprint.memory import choices_of, contexts, footprint, max_context
from fitcheck.footprint.mixes import FORMATS
from fitcheck.footprint.reads import read_groups
from fitcheck.footprint.repack import Repacked, repacked, repacked_bytes
from fitcheck.footprint.residence import weight_items
from fitcheck.schema.model import Attention, FeedForward, Layer, Model
from fitcheck.schema.request import Request
from fitcheck.sources.catalog import load_model

GIB = 1 << 30
MODELS = st.from_type(Model)
NAMES = st.sampled_from(sorted(FORMATS))
REQUESTS = st.builds(
    Request,
    kv_type=st.sampled_from(("f32", "f16")),
    slots=st.integers(1, 4),
    ubatch=st.sampled_from((64, 512, 2048)),
    flash_attention=st.sampled_from(("on", "off", "auto")),
)
BYTES = st.integers(0, 64 * GIB)
REAL = st.sampled_from(("smollm2-135m", "llama-3.1-8b", "qwen3-30b-a3b", "gemma-3-4b", "granite-4.0-h-tiny"))


def test_the_headline_is_not_true(llama_70b):
    """No packing of a 70B model that keeps its vocabulary leaves room in 16 GiB less 2 for the system."""
    request = Request(context=4096)
    smallest = min(
        footprint(llama_70b, weights_bytes(llama_70b, name), request).total_bytes
        for name in ("TQ1_0", "TL2", "trit5")
    )
    assert smallest > 14 * GIB


def test_q4_k_m_of_a_70b_model_fits_64_gib(llama_70b):
    need = footprint(llama_70b, weights_bytes(llama_70b, "Q4_K_M"), Request(context=4096))
    assert need.weights_bytes == 42512531712
    assert need.kv_bytes == 1342177280
    assert need.total_bytes < 42 * GIB


def test_a_context_must_be_named(llama_70b):
    with pytest.raises(BadInput, match="context"):
        footprint(llama_70b, weights_bytes(llama_70b, "Q4_0"), Request())
    asked = footprint(llama_70b, weights_bytes(llama_70b, "Q4_0"), Request(context=512))
    assert asked == footprint(llama_70b, weights_bytes(llama_70b, "Q4_0"), Request(), 512)


def test_no_context_fits_where_weights_do_not(llama_70b):
    assert max_context(llama_70b, weights_bytes(llama_70b, "F16"), Request(), 100 * GIB) == 0


def test_no_context_is_longer_than_the_model_takes(llama_70b):
    assert max_context(llama_70b, weights_bytes(llama_70b, "Q4_K_M"), Request(), 1000 * GIB) == 131072
    assert (
        max_context(llama_70b, weights_bytes(llama_70b, "Q4_K_M"), Request(slots=4), 1000 * GIB) == 4 * 131072
    )


@given(MODELS, NAMES, REQUESTS, st.integers(1, 100_000))
def test_parts_add_up_to_the_total(model, form, request, context):
    need = footprint(model, weights_bytes(model, form), request, context)
    assert need.total_bytes == need.weights_bytes + need.kv_bytes + need.compute_bytes + need.runtime_bytes
    assert min(need.weights_bytes, need.compute_bytes, need.runtime_bytes) > 0


@given(MODELS, NAMES, REQUESTS, st.integers(1, 100_000), st.integers(0, 100_000))
def test_more_context_never_needs_a_smaller_cache(model, form, request, context, more):
    """Of made-up shapes only the cache: tensors of a longer context may lie closer in the compute buffer."""
    less = footprint(model, weights_bytes(model, form), request, context)
    longer = footprint(model, weights_bytes(model, form), request, context + more)
    assert longer.kv_bytes >= less.kv_bytes


@given(REAL, REQUESTS, st.integers(1, 100_000), st.integers(0, 100_000))
def test_no_real_shape_needs_less_for_more_context(name, request, context, more):
    model = load_model(name)
    less = footprint(model, 0, request, context).total_bytes
    assert footprint(model, 0, request, context + more).total_bytes >= less


@given(MODELS, NAMES, REQUESTS, BYTES)
def test_the_longest_context_fits_and_one_more_step_does_not(model, form, request, usable):
    longest = max_context(model, weights_bytes(model, form), request, usable)
    assert longest % 256 == 0
    if longest:
        assert footprint(model, weights_bytes(model, form), request, longest).total_bytes <= usable
    if longest + 256 <= (model.context_max or 1 << 20) * request.slots:
        assert footprint(model, weights_bytes(model, form), request, longest + 256).total_bytes > usable


@given(REAL, NAMES, REQUESTS, BYTES, BYTES)
def test_more_memory_never_holds_a_shorter_context(name, form, request, one, other):
    model, (less, more) = load_model(name), sorted((one, other))
    weights = weights_bytes(model, form)
    assert max_context(model, weights, request, less) <= max_context(model, weights, request, more)


def test_a_step_of_a_70b_model_reads_all_but_the_embedding(llama_70b):
    read = sum(group.bytes for group in read_groups(llama_70b, "Q8_0"))
    table, row = 128256 * 8192 * 34 // 32, 8192 * 34 // 32
    assert (
        read
        == footprint(llama_70b, weights_bytes(llama_70b, "Q8_0"), Request(context=256)).weights_bytes
        - table
        + row
    )


def test_repacked_copies_are_those_llama_cpp_made():
    # facts: llama_cpp_on_two_cores.md, Q4_K_M on AVX-512: 445.50 and 2118.34 MiB repacked.
    small = _shape(2048, 16, Attention(32, 8, 64), 8192, vocab_size=128256, tied_embeddings=True)
    large = _shape(3840, 26, Attention(30, 6, 128), 12288, vocab_size=65536, tied_embeddings=False)
    avx512 = ("avx2", "avx512f", "avx512_vnni")
    assert repacked_bytes(small, "Q4_K_M", avx512) / (1 << 20) == 445.50
    assert repacked_bytes(large, "Q4_K_M", avx512) / (1 << 20) == pytest.approx(2118.34, abs=0.01)
    assert repacked_bytes(small, "Q8_0", avx512) == repacked_bytes(small, "TQ2_0", avx512) == 0
    assert repacked_bytes(small, "Q4_K_M", ()) == 0


def _shape(hidden, layers, mixer, ffn, **values):
    layer = Layer(mixer, (FeedForward(ffn),))
    return Model("shape", "test", "llama", hidden, layers=(layer,) * layers, context_max=None, **values)


def test_tiles_grow_but_what_they_replace_does_not(llama_70b):
    """AMX's copies of Q4_K are larger than the originals; only these stop being read from the file."""
    copies, originals = repacked(llama_70b, "Q4_K_M", ("amx_int8",))
    assert copies > originals > 0
    size = weights_bytes(llama_70b, "Q4_K_M")
    items = list(weight_items(size, mapped=True, repacked=Repacked(copies, originals)))
    mapped = [item for item in items if item.kind == "mapped"]
    assert sum(item.bytes for item in mapped) == size
    assert sum(item.bytes for item in items if item.resident) == size - originals + copies


def test_a_plan_reserves_the_logits_of_a_server(llama_70b):
    """One output a slot, as llama-server; a program that says nothing gets the whole micro-batch's."""
    served = choices_of(Request(slots=2))
    bare = served._replace(outputs=None)
    assert served.outputs == 2
    less = contexts(llama_70b, bare).bytes(4096)[1] - contexts(llama_70b, served).bytes(4096)[1]
    assert 0 < less <= 4 * 512 * llama_70b.vocab_size
