"""The measuring loop, on a reader whose speed and clock the test decides."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from fitcheck.bench import bandwidth
from fitcheck.bench.bandwidth import ENOUGH_PASSES, measure_read_bandwidth, thread_counts
from fitcheck.schema.machine import Pages, ReadBandwidth

BUFFER = 1_000_000_000


class FakeReader:
    """One second and a bit a pass on one thread; the clock moves as it reads."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[int, Pages]] = []
        self.closed = False

    def seconds(self, threads: int, pages: Pages) -> float:
        seen = self.calls.count((threads, pages))
        self.calls.append((threads, pages))
        # The first pass is cold, every fifth is disturbed by somebody else.
        slow = 10.0 if seen == 0 else 3.0 if seen % 5 == 0 else 1.0
        taken = slow * (0.1 if pages == "huge" else 0.2) / threads
        self.now += taken
        return taken

    @contextmanager
    def open(self, size: int, most: int, pages: Sequence[Pages]) -> Iterator["FakeReader"]:
        assert size == BUFFER
        yield self
        self.closed = True


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> FakeReader:
    fake = FakeReader()
    monkeypatch.setattr(bandwidth.time, "monotonic", lambda: fake.now)
    return fake


def test_median_without_warm_up_and_best(reader: FakeReader) -> None:
    rows = measure_read_bandwidth(2, 1e9, buffer_bytes=BUFFER, open_reader=reader.open)
    assert [(row.threads, row.pages) for row in rows] == [(1, "huge"), (2, "huge"), (1, "4k"), (2, "4k")]
    assert [row.bytes_per_s for row in rows] == pytest.approx([10e9, 20e9, 5e9, 10e9])
    assert rows[0] == ReadBandwidth(1, "huge", pytest.approx(10e9), pytest.approx(10e9))
    assert set(Counter(reader.calls).values()) == {ENOUGH_PASSES + 1}
    assert reader.closed


def test_settings_are_interleaved_and_the_widest_first(reader: FakeReader) -> None:
    measure_read_bandwidth(2, 1e9, buffer_bytes=BUFFER, open_reader=reader.open)
    warm_up_left_out = reader.calls[8:]
    assert warm_up_left_out[:8] == [(2, "huge"), (2, "4k"), (1, "huge"), (1, "4k")] * 2
    assert reader.calls[0] == (2, "huge")


def test_even_without_time_there_is_one_figure(reader: FakeReader) -> None:
    rows = measure_read_bandwidth(2, 0.0, buffer_bytes=BUFFER, open_reader=reader.open)
    assert [(row.threads, row.pages) for row in rows] == [(2, "huge")]


def test_the_budget_ends_it_and_the_unreached_are_left_out(reader: FakeReader) -> None:
    rows = measure_read_bandwidth(2, 0.5, buffer_bytes=BUFFER, open_reader=reader.open)
    assert [(row.threads, row.pages) for row in rows] == [(2, "huge")]


def test_progress_runs_from_nothing_to_one(reader: FakeReader) -> None:
    seen: list[float] = []
    measure_read_bandwidth(2, 20.0, seen.append, buffer_bytes=BUFFER, open_reader=reader.open)
    assert seen[0] == 0.0 and seen[-1] == 1.0
    assert seen == sorted(seen)
    assert len(seen) > 10


def test_thread_counts() -> None:
    assert thread_counts(1) == [1]
    assert thread_counts(2) == [1, 2]
    assert thread_counts(6) == [1, 2, 3, 4, 5, 6]
    assert thread_counts(32) == [1, 2, 3, 4, 5, 6, 7, 8, 12, 18, 27, 32]
    assert len(thread_counts(256)) < 18 and thread_counts(256)[-1] == 256
    assert thread_counts(0) == [1]
