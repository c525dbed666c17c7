"""A buffer that was worked out for a stretch of contexts is what a replay for one of them gives."""

from itertools import product
from operator import mul

from hypothesis import given, settings
from hypothesis import strategies as st

from fitcheck.footprint.graph import graph
from fitcheck.footprint.growth import Batch, Growth
from fitcheck.footprint.reach import Reach, furthest, reach
from fitcheck.sources.catalog import load_model

# Windows, compressed rows, states, indexers, and what is plain.
NAMES = st.sampled_from(
    (
        "llama-3.1-8b",
        "gemma-3-27b",
        "deepseek-v3.2",
        "glm-5.2",
        "qwen3-30b-a3b",
        "deepseek-v4-flash",
        "jamba-v0.1",
    )
)
# At some powers of two a tensor fills a hole that grows otherwise.
STEPS = st.lists(st.integers(1, 700) | st.sampled_from((16, 32, 64, 128)), min_size=2, max_size=12)
SIZES = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=6)
MOVES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20)), min_size=1, max_size=40)


@given(NAMES, st.booleans(), st.sampled_from((1, 3, 4)), st.sampled_from((128, 512, 2048)), STEPS)
@settings(max_examples=60, deadline=None)
def test_a_stretch_answers_as_a_replay_does(
    name: str, flash: bool, slots: int, ubatch: int, steps: list[int]
) -> None:
    known = graph(load_model(name), flash, quantized=False)
    growth = Growth(known, known.moves)
    for step in steps:
        batch = Batch(256 * step, slots, ubatch, unified=False, outputs=slots)
        sizes = [batch.bytes(size) for size in known.sizes]
        assert growth.bytes(batch) == furthest(known.moves, sizes, known.tensors)


@given(SIZES, MOVES)
def test_as_far_as_it_says_it_grows_evenly(
    sizes: list[tuple[int, int, int]], asked: list[tuple[int, int]]
) -> None:
    moves = _moves(asked, len(sizes))
    grown = [(32 * size, (32 * rise, 32 * other)) for size, rise, other in sizes]
    found = reach(moves, grown, len(moves))
    for steps in product(range(4), repeat=2):
        if all(spare + sum(map(mul, rises, steps)) >= 0 for spare, rises in found.bounds):
            here = [size + sum(map(mul, rises, steps)) for size, rises in grown]
            assert furthest(moves, here, len(moves)) == found.top + sum(map(mul, found.rises, steps))


def test_it_says_where_two_sizes_change_places() -> None:
    """A hole of 96 takes what grows from 32 by 32; where that fills it, no hole is left, and that is new."""
    moves = [(0, 0), (1, 1), (0, -1), (2, 2)]
    found = reach(moves, [(96, (0,)), (32, (0,)), (32, (32,))], 3)
    assert found == Reach(128, (0,), ((1, (-1,)),))


def _moves(asked: list[tuple[int, int]], sizes: int) -> list[tuple[int, int]]:
    """Takes of sizes by number; now and then one that lives is given back."""
    moves, alive = [], []
    for tensor, (size, drop) in enumerate(asked):
        moves.append((tensor, size % sizes))
        alive.append(tensor)
        if drop % 2:
            moves.append((alive.pop(drop % len(alive)), -1))
    return moves
