"""A few tokens at once: each equals its own product, and says what ran."""

import pytest

from fitcheck.bench import native
from fitcheck.bench.batches import measure_batches
from fitcheck.errors import BadInput
from fitcheck.units import MIB

from .oracle import BLOCK

SIZES = (32, 128, 256, 320, 640, 1000, 1280, 2304, 8192)
ISAS = native.isas_in_build() if native.available() else ("scalar",)
FORMATS = native.batch_formats() if native.available() else ()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", FORMATS)
def test_each_token_equals_scalar_to_the_bit(name, isa, pool):
    if isa not in native.isas():
        pytest.skip(f"this CPU lacks {isa}")
    for index, cols in enumerate(cols for cols in SIZES if cols % BLOCK[name] == 0):
        rows = (1, 2, 15, 16, 17, 33)[index % 6]
        with native.Matrix(name, rows, cols, pool) as matrix:
            for tokens in range(1, native.most_tokens() + 1):
                assert native.Batch(matrix, tokens).mismatches(isa) == 0, f"{tokens} tokens, {cols} columns"


def test_two_tokens_of_q6_k_are_two_products_by_the_kernel_that_takes_one(pool):
    """On each ISA where its batch has been measured it gains from four tokens on, or later."""
    with native.Matrix("q6_k", 8, 2560, pool) as matrix:
        assert native.Batch(matrix, 2).time(1).isa == matrix.time(1).isa


def test_floats_have_nothing_to_unpack_and_looked_up_sums_nothing_to_share():
    assert set(native.formats()) - set(FORMATS) == {"f16", "bf16", "trit3", "tl1", "tl2"}


@pytest.mark.parametrize("tokens", [0, -1, 9])
def test_too_few_and_too_many_tokens_are_refused(tokens, pool):
    with native.Matrix("trit5", 8, 640, pool) as matrix, pytest.raises(BadInput):
        native.Batch(matrix, tokens)


def test_a_measurement_keeps_its_rounds():
    (found,) = measure_batches(["q4_k"], 2, MIB, 3)
    assert (found.format, found.tokens, found.threads) == ("q4_k", 3, 2)
    assert len(found.raw) == len(found.raw_single) > 1
    assert found.cost > 0
    assert found.stable is (found.unstable_why is None)
