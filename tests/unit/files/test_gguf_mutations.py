"""Any bytes at all: a model, or one clear line. The fuzzer in tests/fuzz goes deeper."""

import random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fitcheck.errors import BadInput
from fitcheck.footprint.tensors import layout
from fitcheck.sources.gguf_file import parse_gguf
from fitcheck.sources.gguf_model import model_of
from fitcheck.sources.gguf_weights import file_weights

# The interesting numbers of a 64-bit field, and ends of the ranges of narrower ones.
EDGES = [
    0,
    1,
    2,
    3,
    31,
    32,
    33,
    255,
    1 << 16,
    (1 << 31) - 1,
    1 << 31,
    1 << 32,
    1 << 40,
    1 << 60,
    (1 << 64) - 1,
]

edits = st.lists(
    st.tuples(
        st.integers(0, 1200),
        st.one_of(
            st.binary(min_size=1, max_size=9),
            st.sampled_from(EDGES).map(lambda number: number.to_bytes(8, "little")),
            st.sampled_from(EDGES[:11]).map(lambda number: number.to_bytes(4, "little")),
        ),
    ),
    min_size=1,
    max_size=4,
)


def survives(data: bytes) -> bool:
    """Reads bytes to the end; False where they were refused, with one clear line."""
    try:
        file = parse_gguf(data)
        file_weights(file)
        layout(model_of(file))
    except BadInput as error:
        assert error.message.isprintable()
        assert error.remedy.isprintable()
        assert len(error.message) < 400
        return False
    assert all(t.offset > 0 and t.offset + t.bytes <= len(data) for t in file.tensors)
    return True


@settings(max_examples=400, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=edits, cut=st.none() | st.integers(0, 4000), order=st.sampled_from("<>"))
@example(edits=[(0, b"GGUF")], cut=None, order="<")
def test_a_file_with_bytes_changed(tiny_llama, edits, cut, order):
    data = bytearray(tiny_llama(order=order).bytes())
    for at, replacement in edits:
        data[at : at + len(replacement)] = replacement
    survives(bytes(data[:cut]))


@settings(max_examples=200, deadline=2000)
@given(st.binary(max_size=500).map(lambda tail: b"GGUF\x03\0\0\0" + tail))
def test_bytes_behind_a_sound_beginning(data):
    survives(data)


@pytest.mark.parametrize("seed", range(5))
def test_numbers_changed_at_every_place(tiny, seed):
    """Every aligned and unaligned field of the header in turn, by an edge value."""
    generator = random.Random(seed)
    survived = 0
    for at in range(4, 1100, 3):
        data = bytearray(tiny)
        data[at : at + 8] = generator.choice(EDGES).to_bytes(8, "little")
        survived += survives(bytes(data))
    assert survived < 300  # most changes matter
