"""The allocator's rules, on tapes small enough to see."""

from hypothesis import given
from hypothesis import strategies as st

from fitcheck.footprint.arena import Tape
from fitcheck.footprint.reach import furthest

BLOCK = 1024
MOVES = st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=60)


def replay(tape, scale=BLOCK):
    sizes = [scale * size.token for size in tape.sizes]
    return furthest(tape.moves, sizes, 1 + max(tensor for tensor, _ in tape.moves))


def test_what_is_given_back_is_taken_again():
    tape = Tape(flash=True, quantized=False)
    first = tape.take(4)
    tape.take(1)
    tape.drop(first)
    tape.take(4)
    assert replay(tape) == 5 * BLOCK


def test_the_smallest_hole_that_fits_is_taken_and_a_larger_one_left():
    tape = Tape(flash=True, quantized=False)
    large = tape.take(4)
    tape.take(1)
    small = tape.take(2)
    tape.take(1)
    tape.drop(large, small)
    tape.take(2)
    tape.take(4)
    assert replay(tape) == 8 * BLOCK


def test_holes_beside_each_other_become_one():
    tape = Tape(flash=True, quantized=False)
    first, second = tape.take(2), tape.take(2)
    tape.take(1)
    tape.drop(first, second)
    tape.take(4)
    assert replay(tape) == 5 * BLOCK


def test_a_tensor_stays_until_its_last_user_is_done():
    tape = Tape(flash=True, quantized=False)
    shared = tape.take(4, uses=2)
    tape.drop(shared)
    tape.take(4)
    assert replay(tape) == 8 * BLOCK


@given(MOVES)
def test_never_less_than_what_lives_at_once_nor_more_than_all(moves):
    tape, alive, most = Tape(flash=True, quantized=False), [], 0
    for size, drop in moves:
        alive.append((tape.take(size), size))
        most = max(most, sum(size for _, size in alive))
        if drop:
            tape.drop(alive.pop(len(alive) // 2)[0])
    assert most * BLOCK <= replay(tape) <= sum(size for size, _ in moves) * BLOCK


def test_no_tensor_begins_between_two_multiples_of_32_bytes():
    tape = Tape(flash=True, quantized=False)
    tape.take(1)
    tape.take(1)
    assert replay(tape, scale=33) == 128
