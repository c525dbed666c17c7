import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitcheck.errors import UnknownName
from fitcheck.footprint.formats import (
    WEIGHT_TYPES,
    WeightType,
    block_overhead_bits,
    exl2,
    find_type,
    tensor_bytes,
)

COLS = st.integers(1, 64).map(lambda n: 256 * n)
ROWS = st.integers(1, 4096)
SOUND = sorted(WEIGHT_TYPES)


@pytest.mark.parametrize("name", [t.name for t in gguf.GGMLQuantizationType if t.name in WEIGHT_TYPES])
def test_block_sizes_are_those_of_gguf(name):
    kind = WEIGHT_TYPES[name]
    assert (kind.block_weights, kind.block_bytes) == gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]


def test_every_type_that_gguf_stores_weights_in_is_known():
    others = {"Q8_1", "Q8_K", "I8", "I16", "I32", "I64", "F64"}  # of activations, indices, or nothing
    assert {t.name for t in gguf.GGMLQuantizationType} - set(WEIGHT_TYPES) <= others


@pytest.mark.parametrize(
    ("name", "bits"),
    [("Q4_K", 4.5), ("Q6_K", 6.5625), ("TQ1_0", 1.6875), ("TQ2_0", 2.0625), ("trit5", 1.6), ("I2_S", 2)],
)
def test_bits_are_derived(name, bits):
    assert WEIGHT_TYPES[name].bits_per_weight == bits


def test_trit3_pads_to_24_columns_of_64_rows_and_keeps_a_scale_a_row():
    assert tensor_bytes(WEIGHT_TYPES["trit3"], cols=25, rows=65) == 2 * 2 * 320 + 65 * 4
    assert tensor_bytes(WEIGHT_TYPES["trit3"], cols=24, rows=64, count=3) == 3 * (320 + 64 * 4)


def test_trit5_ends_a_row_in_a_whole_byte_and_a_scale():
    assert tensor_bytes(WEIGHT_TYPES["trit5"], cols=11, rows=7) == 7 * (3 + 4)


def test_i2_s_keeps_one_tail_a_tensor():
    assert tensor_bytes(WEIGHT_TYPES["I2_S"], cols=2560, rows=6912) == 2560 * 6912 // 4 + 32


def test_tl2_counts_256_columns_at_two_bits():
    # formats.json: 1.6791 bits a weight with 6912 columns, 1.7 with 2560.
    for cols, bits in ((2560, 1.7), (6912, 1.6790), (28672, 1.6696)):
        size = tensor_bytes(WEIGHT_TYPES["TL2"], cols, 3072) - 32
        assert 8 * size / (cols * 3072) == pytest.approx(bits, abs=1e-4)


def test_gptq_and_awq_are_sums_of_their_buffers():
    weights, groups = 4096 * 11008 // 2, 4096 // 128
    awq = weights + groups * 11008 // 2 + groups * 11008 * 2
    assert tensor_bytes(WEIGHT_TYPES["AWQ-4bit"], 4096, 11008) == awq
    assert tensor_bytes(WEIGHT_TYPES["GPTQ-4bit"], 4096, 11008) == awq + 4096 * 4


def test_exl2_meets_its_average():
    assert tensor_bytes(exl2(4.25), 4096, 4096) == 4096 * 4096 * 17 // 32
    with pytest.raises(UnknownName):
        exl2(3.3)


def test_the_generic_rule_of_blocks():
    assert 4 + block_overhead_bits(64, 32) == 4.5
    assert 4 + block_overhead_bits(128, 32) == 4.25


def test_an_unknown_type_is_named():
    with pytest.raises(UnknownName, match="Q9_K"):
        find_type("Q9_K")
    assert find_type("Q4_K").block_bytes == 144


@given(st.sampled_from(SOUND), COLS, ROWS, st.integers(1, 8))
def test_stacks_cost_at_most_what_single_matrices_do(name, cols, rows, count):
    kind = WEIGHT_TYPES[name]
    assert tensor_bytes(kind, cols, rows, count) <= count * tensor_bytes(kind, cols, rows)


@given(COLS, ROWS)
def test_fewer_bits_never_take_more_bytes(cols, rows):
    blocks = [kind for kind in WEIGHT_TYPES.values() if _plain(kind)]
    by_bits = sorted(blocks, key=lambda kind: kind.bits_per_weight)
    sizes = [tensor_bytes(kind, cols, rows) for kind in by_bits]
    assert sizes == sorted(sizes)


def _plain(kind: WeightType) -> bool:
    return not (kind.row_bytes or kind.tensor_bytes or kind.formula)


@given(st.sampled_from(SOUND), COLS, ROWS, st.integers(1, 64))
def test_more_rows_never_take_fewer_bytes(name, cols, rows, more):
    kind = WEIGHT_TYPES[name]
    assert tensor_bytes(kind, cols, rows + more) >= tensor_bytes(kind, cols, rows)
