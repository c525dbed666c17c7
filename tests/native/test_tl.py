"""TL1 and TL2: what bitnet.cpp's converter packs, and what a file holds beyond it."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitcheck.bench import native
from fitcheck.footprint.formats import WEIGHT_TYPES, tensor_bytes

LINES = (Path(__file__).parent / "bitnet_cpp_packings.csv").read_text().splitlines()
PACKED = list(csv.DictReader(line for line in LINES if not line.startswith("#")))
QUICK, SLOW = 3_000_000, 4096 * 14336  # weights


def drawn(rows: int, cols: int) -> np.ndarray:
    raw = hashlib.shake_256(f"{rows}x{cols}".encode()).digest(rows * cols)
    return ((np.frombuffer(raw, np.uint8) % 3).astype(np.int8) - 1).reshape(rows, cols)


def shapes(most: int, least: int = 0) -> list:
    found = [(row["format"], int(row["rows"]), int(row["cols"]), row) for row in PACKED]
    return [
        pytest.param(name, rows, cols, row, id=f"{name}-{rows}x{cols}")
        for name, rows, cols, row in found
        if least < rows * cols <= most
    ]


def check_packing(name: str, rows: int, cols: int, theirs: dict[str, str]) -> None:
    """The converter pads a TL2 matrix with zeros; ours ends with its last code."""
    weights = drawn(rows, cols)
    data = native.pack_rows(name, weights.tobytes(), rows)
    padded = data + bytes(int(theirs["bytes"]) - len(data))
    assert hashlib.sha256(padded).hexdigest() == theirs["sha256"]
    for row in range(0, rows, 97):
        assert native.unpack_row(name, data, cols, row) == weights[row].tobytes()


@pytest.mark.parametrize(("name", "rows", "cols", "theirs"), shapes(QUICK))
def test_packed_bytes_are_the_converters(name, rows, cols, theirs):
    check_packing(name, rows, cols, theirs)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rows", "cols", "theirs"), shapes(SLOW, QUICK))
def test_packed_bytes_of_large_shapes_are_the_converters(name, rows, cols, theirs):
    check_packing(name, rows, cols, theirs)


@pytest.mark.parametrize(("name", "rows", "cols", "theirs"), shapes(SLOW))
def test_the_accounting_counts_the_files_bytes(name, rows, cols, theirs):
    """A file's tensor: the converter's bytes, aligned, and 32 more with the scale."""
    counted = tensor_bytes(WEIGHT_TYPES[name.upper()], cols, rows)
    assert counted == -(-int(theirs["bytes"]) // 32) * 32 + 32


@pytest.mark.parametrize(("name", "rows", "cols", "theirs"), shapes(SLOW))
def test_rows_take_the_accountings_bytes_less_the_padding_no_kernel_reads(name, rows, cols, theirs):
    """TL2 files count 256 columns of twos, whatever blocks leave over: 1/24 byte more than as threes."""
    block = int(theirs["bk_block"])
    padding = rows * (256 - cols % block) / 24 if name == "tl2" else 0
    assert native.matrix_bytes(name, rows, cols) == native.row_bytes(name, cols) * rows
    assert native.matrix_bytes(name, rows, cols) == pytest.approx(int(theirs["bytes"]) - padding, abs=2)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(["tl1", "tl2"]), st.integers(1, 330), st.integers(1, 6), st.integers(0, 2**32))
def test_unpacking_undoes_packing_of_whole_matrices(name, rows, blocks, seed):
    cols = blocks * (64 if name == "tl1" else 32)
    weights = np.random.default_rng(seed).integers(-1, 2, (rows, cols)).astype(np.int8)
    data = native.pack_rows(name, weights.tobytes(), rows)
    assert len(data) == native.matrix_bytes(name, rows, cols)
    assert all(native.unpack_row(name, data, cols, row) == weights[row].tobytes() for row in range(rows))
