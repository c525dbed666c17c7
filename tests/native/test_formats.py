"""Layouts: ours against NumPy and against the package that defines ggml's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitcheck.bench import native
from fitcheck.errors import BadInput

from .oracle import BLOCK, TERNARY, pack_i2_s, pack_trit3, pack_trit5, pack_trit5x64

gguf_quants = pytest.importorskip("gguf.quants")
from gguf import GGMLQuantizationType  # noqa: E402

GGML = ("tq1_0", "tq2_0", "q4_k", "q6_k", "q8_0", "f16", "bf16")
RANDOM = np.random.default_rng(7)


def some_weights(cols: int) -> np.ndarray:
    return RANDOM.integers(-1, 2, cols).astype(np.int8)


def ggml_type(name: str) -> GGMLQuantizationType:
    return GGMLQuantizationType[name.upper()]


def floats(name: str, row: bytes, cols: int) -> np.ndarray:
    return np.frombuffer(native.dequantise_row(name, row, cols), np.float32)


@pytest.mark.parametrize("cols", [1, 4, 5, 6, 63, 64, 319, 320, 321, 325, 639, 640, 2560, 6912, 8192])
def test_trit5_is_what_its_description_says(cols):
    weights = some_weights(cols)
    row = native.pack_row("trit5", weights.tobytes())
    assert len(row) == -(-cols // 5)
    assert row == pack_trit5(weights)


@pytest.mark.parametrize("cols", [1, 2, 3, 23, 24, 25, 71, 72, 2560])
@pytest.mark.parametrize("rows", [1, 63, 64, 65])
def test_trit3_is_what_its_description_says(rows, cols):
    weights = some_weights(rows * cols).reshape(rows, cols)
    data = native.pack_rows("trit3", weights.tobytes(), rows)
    assert len(data) == native.matrix_bytes("trit3", rows, cols) == -(-rows // 64) * -(-cols // 24) * 320
    assert data == pack_trit3(weights)
    assert native.unpack_row("trit3", data, cols, rows - 1) == weights[-1].tobytes()


@pytest.mark.parametrize("cols", [1, 4, 5, 6, 29, 30, 31, 2560])
@pytest.mark.parametrize("rows", [1, 63, 64, 65])
def test_trit5x64_is_what_its_description_says(rows, cols):
    weights = some_weights(rows * cols).reshape(rows, cols)
    data = native.pack_rows("trit5x64", weights.tobytes(), rows)
    assert len(data) == native.matrix_bytes("trit5x64", rows, cols) == -(-rows // 64) * 64 * -(-cols // 5)
    assert data == pack_trit5x64(weights)
    assert native.unpack_row("trit5x64", data, cols, rows - 1) == weights[-1].tobytes()


@pytest.mark.parametrize("cols", [128, 256, 384, 2560])
def test_i2_s_is_what_the_layout_facts_say(cols):
    weights = some_weights(cols)
    assert native.pack_row("i2_s", weights.tobytes()) == pack_i2_s(weights)


AS_TRITS = bytes((255, 0, 1)[byte % 3] for byte in range(256))  # far quicker to draw than a list of them


@settings(deadline=None)
@given(st.data())
@pytest.mark.parametrize("name", TERNARY)
def test_unpacking_undoes_packing(name, data):
    cols = BLOCK[name] * data.draw(st.integers(1, 2000 // BLOCK[name]))
    weights = data.draw(st.binary(min_size=cols, max_size=cols)).translate(AS_TRITS)
    assert native.unpack_row(name, native.pack_row(name, weights), cols) == weights


def test_trit5_codes_of_all_243_are_different_and_read_back():
    digits = np.stack(np.meshgrid(*[[-1, 0, 1]] * 5, indexing="ij"), -1).reshape(243, 5).astype(np.int8)
    rows = {native.pack_row("trit5", row.tobytes()): row for row in digits}
    assert len(rows) == 243
    for row, weights in rows.items():
        assert native.unpack_row("trit5", row, 5) == weights.tobytes()


@pytest.mark.parametrize("name", ["tq1_0", "tq2_0"])
def test_ternary_blocks_are_byte_for_byte_what_gguf_packs(name):
    weights = some_weights(1024)
    theirs = gguf_quants.quantize(weights.astype(np.float32), ggml_type(name))
    assert native.pack_row(name, weights.tobytes(), 1.0) == theirs.tobytes()


@pytest.mark.parametrize("name", GGML)
def test_dequantising_agrees_with_gguf(name, pool):
    cols = 1024
    with native.Matrix(name, 16, cols, pool) as matrix:
        rows = matrix.rows_as_bytes()
    theirs = gguf_quants.dequantize(np.frombuffer(rows, np.uint8).reshape(16, -1), ggml_type(name))
    size = native.row_bytes(name, cols)
    for index in range(16):
        ours = floats(name, rows[index * size : (index + 1) * size], cols)
        np.testing.assert_allclose(ours, theirs[index], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["q8_0", "bf16", "f16"])
def test_what_gguf_packs_is_read_as_gguf_reads_it(name):
    values = RANDOM.standard_normal(512).astype(np.float32)
    theirs = gguf_quants.quantize(values, ggml_type(name))
    expected = gguf_quants.dequantize(theirs, ggml_type(name)).ravel()
    np.testing.assert_array_equal(floats(name, theirs.tobytes(), 512), expected)


@pytest.mark.parametrize("name", TERNARY)
def test_random_rows_are_legal(name, pool):
    cols = 1280
    with native.Matrix(name, 24, cols, pool) as matrix:
        data = matrix.rows_as_bytes()
    size = native.row_bytes(name, cols)
    for index in range(24):
        row = data[index * size : (index + 1) * size]
        weights = native.unpack_row(name, data, cols, index)
        assert set(weights) <= {255, 0, 1}
        scale = np.frombuffer(row[-2:], np.float16)[0] if name.startswith("tq") else 1.0
        assert len(native.pack_row(name, weights, float(scale))) == native.matrix_bytes(name, 1, cols)
        if name in ("trit5", "i2_s"):
            assert native.pack_row(name, weights) == row


def test_names_are_understood_in_any_case():
    assert native.row_bytes("Q4_K", 256) == 144


@pytest.mark.parametrize(("name", "cols"), [("i2_s", 100), ("q4_k", 128), ("trit5", 0)])
def test_columns_that_do_not_suit_a_format_are_refused(name, cols):
    with pytest.raises(BadInput, match="columns"):
        native.row_bytes(name, cols)


def test_an_unknown_format_is_refused_with_the_known_ones():
    with pytest.raises(BadInput) as caught:
        native.row_bytes("q3_k_xl", 256)
    assert "trit5" in caught.value.remedy
