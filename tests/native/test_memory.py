"""Threads, arenas and reads: what is held is given back, and the boundaries hold."""

import pytest

from fitcheck.bench import native
from fitcheck.errors import BadInput, NotEnoughMemory
from fitcheck.units import MIB


@pytest.mark.parametrize("pages", ["huge", "4k"])
def test_reads_take_time_on_either_kind_of_page(pages, pool):
    with native.Arena(4 * MIB, pages) as arena:
        seconds = native.read_seconds(pool, arena, 4 * MIB, rounds=3)
    assert len(seconds) == 3
    assert all(second > 0 for second in seconds)


def test_a_reader_serves_any_number_of_threads():
    with native.open_reader(4 * MIB, 3, ("huge", "4k")) as reader:
        assert reader.seconds(1, "huge") > 0
        assert reader.seconds(3, "4k") > 0


def test_a_read_past_the_end_is_refused(pool):
    with native.Arena(MIB) as arena, pytest.raises(BadInput):
        native.read_seconds(pool, arena, 2 * MIB)


def test_memory_that_cannot_be_mapped_is_an_error_of_its_own():
    with pytest.raises(NotEnoughMemory):
        native.Arena(1 << 62)


def test_closing_twice_is_harmless():
    arena, threads = native.Arena(MIB), native.Pool(2)
    for _ in range(2):
        arena.close()
        threads.close()


def test_no_threads_are_refused():
    with pytest.raises(BadInput):
        native.Pool(0)


def test_features_and_isas_agree():
    assert native.isas()[0] == "scalar"
    assert ("avx2" in native.isas()) <= ("avx2" in native.cpu_features())
