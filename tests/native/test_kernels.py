"""Kernels: NumPy checks scalar, scalar checks every ISA, over sizes that meet every tail."""

import subprocess
import sys

import numpy as np
import pytest

from fitcheck.bench import native
from fitcheck.errors import BadInput

from .oracle import BLOCK, ONE_SCALE, TERNARY, product

FORMATS = tuple(BLOCK)
# Below, at and above each boundary that some kernel has: 5, 16, 32, 64, 128, 256, 320 and multiples.
SIZES = (
    *(1, 4, 5, 15, 16, 17, 31, 32, 33, 63, 64, 65, 96, 127, 128, 160, 255, 256, 257, 319, 320, 321, 384),
    *(479, 480, 512, 639, 640, 641, 768, 1000, 1024, 1279, 1280, 1281, 1920, 2304, 2560, 4097, 6912, 8192),
)
ROWS = (1, 2, 3, 7, 8, 9, 17)
SCALE_TOLERANCE = 2e-6  # float32 sums of some thousand terms


def sizes(name: str) -> list[int]:
    return [cols for cols in SIZES if cols % BLOCK[name] == 0]


def all_isas() -> tuple[str, ...]:
    return native.isas_in_build() if native.available() else ("scalar",)


def weights_of(matrix: native.Matrix, name: str) -> np.ndarray:
    data = matrix.rows_as_bytes()
    unpacked = [
        np.frombuffer(native.dequantise_row(name, data, matrix.cols, row), np.float32)
        for row in range(matrix.rows)
    ]
    beside = np.float32(matrix.cols**-0.5) if name in ONE_SCALE else 1.0
    return np.stack(unpacked) * beside


@pytest.mark.parametrize("name", FORMATS)
def test_scalar_agrees_with_numpy(name, pool):
    for cols in sizes(name)[::3]:
        with native.Matrix(name, 5, cols, pool) as matrix:
            x = np.random.default_rng(cols).standard_normal(cols).astype(np.float32)
            matrix.set_vector(x.tolist())
            ours = np.frombuffer(matrix.multiply(isa="scalar"), np.float32)
            weights = weights_of(matrix, name)
            size = np.abs(weights).sum(axis=1) * np.abs(x).max()
            np.testing.assert_array_less(
                np.abs(ours - product(weights, x, name)), SCALE_TOLERANCE * size + 1e-9
            )


@pytest.mark.parametrize("isa", all_isas())
@pytest.mark.parametrize("name", FORMATS)
def test_each_isa_equals_scalar_to_the_bit(name, isa, pool):
    if isa not in native.isas():
        pytest.skip(f"this CPU lacks {isa}")
    for index, cols in enumerate(sizes(name)):
        with native.Matrix(name, ROWS[index % len(ROWS)], cols, pool) as matrix:
            assert matrix.mismatches(isa) == 0, f"{cols} columns"


@pytest.mark.parametrize("isa", all_isas())
@pytest.mark.parametrize("name", TERNARY)
@pytest.mark.parametrize("value", [1.0, -1.0, 0.0])
def test_the_largest_sums_do_not_overflow(name, isa, value, pool):
    if isa not in native.isas():
        pytest.skip(f"this CPU lacks {isa}")
    cols = 32768
    with native.Matrix(name, 4, cols, pool) as matrix:
        matrix.set_rows(native.pack_rows(name, bytes([1]) * 4 * cols, 4), [1.0] * 4)
        matrix.set_vector([value] * cols)
        assert matrix.mismatches(isa) == 0
        got = np.frombuffer(matrix.multiply(isa), np.float32)
        np.testing.assert_allclose(got, value * cols, rtol=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("name", ["trit5", "trit5x64", "trit3", "i2_s", "tl1", "tl2", "q4_k", "f16"])
def test_any_number_of_threads_gives_the_same_results(name, threads, pool):
    with native.Matrix(name, 101, 1280, pool) as matrix, native.Pool(threads) as many:
        alone = matrix.multiply()
        matrix.time(rounds=3, pool=many)
        assert matrix.results_as_bytes() == alone


@pytest.mark.parametrize("isa", all_isas())
@pytest.mark.parametrize("name", ["trit3", "trit5x64", "tl1", "tl2"])
def test_more_rows_than_share_a_table_and_more_columns_than_it_holds(name, isa, pool):
    if isa not in native.isas():
        pytest.skip(f"this CPU lacks {isa}")
    for rows, cols in ((4200, 64), (100, 9024), (70, 10624)):
        with native.Matrix(name, rows, cols, pool) as matrix:
            assert matrix.multiply(isa) == matrix.multiply("scalar")


@pytest.mark.parametrize("isa", all_isas())
def test_the_environment_caps_the_isa(isa):
    if isa not in native.isas():
        pytest.skip(f"this CPU lacks {isa}")
    program = (
        "from fitcheck.bench import native; print(*(native.kernel_isa(f) for f in native.formats()),"
        "*(native.batch_isa(f) for f in native.batch_formats()))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={native.ISA_VARIABLE: isa},
        capture_output=True,
        text=True,
        check=True,
    )
    order = native.isas_in_build()
    ran = run.stdout.split()
    assert all(order.index(name) <= order.index(isa) for name in ran)
    assert isa in ran


def test_formats_that_only_scalar_code_knows_are_told_apart(monkeypatch):
    monkeypatch.delenv(native.ISA_VARIABLE, raising=False)
    x86 = "avx2" in native.isas()
    if not x86 and "neon" not in native.isas():
        pytest.skip("no vectors here")
    slow = set(native.formats()) - set(native.formats_with_vectors())
    assert slow <= {"trit5", "trit5x64", "trit3", "tl1", "tl2"}
    assert slow & {"trit5", "trit5x64"} == {"trit5", "trit5x64"} - {native.arrangement("trit5")}
    assert ("tl1" in slow, "tl2" in slow) == (x86, not x86)
    monkeypatch.setenv(native.ISA_VARIABLE, "scalar")
    assert set(native.formats()) - set(native.formats_with_vectors()) == {"trit5x64"}


@pytest.mark.parametrize("isa", all_isas())
def test_trit5_lies_as_its_best_kernel_reads_it(isa, monkeypatch):
    if isa not in native.isas():
        pytest.skip(f"this CPU lacks {isa}")
    monkeypatch.setenv(native.ISA_VARIABLE, isa)
    best = "trit5x64" if isa == "avx512vbmi" else "trit5"
    assert {native.arrangement(name) for name in ("trit5", "TRIT5", "trit5x64")} == {best}
    assert native.arrangement("i2_s") == "i2_s"
    assert best in native.formats_with_vectors()


def test_an_unknown_isa_is_refused_with_the_known_ones(monkeypatch):
    monkeypatch.setenv(native.ISA_VARIABLE, "mmx")
    with pytest.raises(BadInput) as caught:
        native.kernel_isa("trit5")
    assert "scalar" in caught.value.remedy


def test_a_timing_names_its_kernel(pool):
    with native.Matrix("trit5", 8, 640, pool) as matrix:
        timing = matrix.time(rounds=3, passes=2, isa="scalar")
    assert (timing.isa, timing.threads, timing.passes, len(timing.seconds)) == ("scalar", 1, 2, 3)
    assert timing.weights == 8 * 640
    assert all(seconds > 0 for seconds in timing.seconds)
