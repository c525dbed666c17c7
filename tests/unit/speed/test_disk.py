"""What a token reads again where memory is too small."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitcheck.schema.machine import Storage
from fitcheck.speed.disk import disk_of, reread

GB = 10**9
sizes = st.integers(1, 1000).map(lambda n: n * GB)


def test_a_cache_with_room_for_all_reads_nothing_again() -> None:
    assert reread(20 * GB, 10 * GB, 0, 0) == (0, 0, 0)
    assert reread(20 * GB, 10 * GB, 1 * GB, 10 * GB) == (0, 0, 0)


def test_a_cyclic_read_past_the_cache() -> None:
    """Of 20 GB with room for 10, the best cache reads 10 again, the oldest-first one all 20."""
    again = reread(10 * GB, 20 * GB, 0, 0)
    assert (again.least, again.most) == (10 * GB, 20 * GB)
    # h = exp(-2 (1 - h)): h = 0.2032
    assert again.expected == pytest.approx(20 * GB * (1 - 0.2032), rel=1e-3)


def test_experts_are_found_as_often_as_they_have_room() -> None:
    again = reread(15 * GB, 5 * GB, 2 * GB, 40 * GB)
    assert again.expected == pytest.approx(2 * GB * 0.75)


def test_no_cache_reads_all_of_it() -> None:
    assert reread(0, 20 * GB, 1 * GB, 5 * GB) == (21 * GB,) * 3


@given(sizes, sizes, sizes, sizes)
def test_more_room_never_reads_more(cache: int, more: int, dense: int, experts: int) -> None:
    active = experts // 8
    tight, roomy = (reread(room, dense, active, experts) for room in (cache, cache + more))
    assert roomy.expected <= tight.expected * (1 + 1e-9)
    assert tight.least <= tight.expected * (1 + 1e-9)
    assert tight.expected <= tight.most * (1 + 1e-9)


def test_a_disk_that_was_measured_counts() -> None:
    assert disk_of(Storage("nvme0n1", "nvme", 6e9)) == (6e9, "nvme", "measured")
    assert disk_of(Storage("sda", "hdd")).basis == "assumed"
    assert disk_of(None).bytes_per_s == disk_of(Storage("nvme0n1", "nvme")).bytes_per_s
