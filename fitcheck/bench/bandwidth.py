"""Read bandwidth: what one to all threads achieve together, on huge and on 4 KiB pages.

Machines are noisy and clocks drift, so passes of all settings are interleaved:
a slow spell falls on each of them alike. The median of the passes is the
figure, since that is what thousands of decode steps will see; the best pass is
kept beside it as the most this memory was ever seen to deliver.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from fitcheck.schema.machine import Pages, ReadBandwidth
from fitcheck.units import MIB

Progress = Callable[[float], None]
"""Called now and then with the share of the work that is done, from 0 to 1."""

Setting = tuple[int, Pages]

# Eight times the 32 MiB of a common last-level cache; callers who know of more ask for more.
DEFAULT_BUFFER_BYTES = 256 * MIB
DEFAULT_BUDGET_S = 2.5
ENOUGH_PASSES = 40  # on a desktop's few settings half a second's work; the budget ends most runs before


class Reader(Protocol):
    """Memory that is ready to be read; the native room provides one, tests another."""

    def seconds(self, threads: int, pages: Pages) -> float:
        """The time ``threads`` threads take to read the whole buffer once."""


OpenReader = Callable[[int, int, Sequence[Pages]], AbstractContextManager[Reader]]
"""Buffer bytes, most threads and kinds of pages in; a Reader out, until closed."""


def measure_read_bandwidth(
    max_threads: int,
    budget_s: float = DEFAULT_BUDGET_S,
    progress: Progress | None = None,
    *,
    buffer_bytes: int = DEFAULT_BUFFER_BYTES,
    pages: Sequence[Pages] = ("huge", "4k"),
    open_reader: OpenReader | None = None,
) -> tuple[ReadBandwidth, ...]:
    """Rows by kind of pages, then by threads; settings the budget didn't reach are left out.

    ``budget_s`` bounds the wall time: filling the buffer counts, and only the
    pass under way when it ends goes on. All threads are measured once at
    least. Raises NativeMissing without the C extension, NotEnoughMemory where
    the buffers can't be had.
    """
    deadline = time.monotonic() + budget_s
    tell = progress or (lambda share: None)
    tell(0.0)
    with (open_reader or native_reader())(buffer_bytes, max_threads, pages) as reader:
        seconds = _passes(reader, _settings(max_threads, pages), deadline, budget_s, tell)
    tell(1.0)
    rows = [_row(setting, taken, buffer_bytes) for setting, taken in seconds.items() if taken]
    return tuple(sorted(rows, key=lambda row: (row.pages != "huge", row.threads)))


def thread_counts(most: int) -> list[int]:
    """1 to 8 one by one, then in steps of a half, and always the most: 1 … 8, 12, 18, …"""
    counts, count = [], 1
    while count < most:
        counts.append(count)
        count = count + 1 if count < 8 else count * 3 // 2
    return [*counts, max(1, most)]


def native_reader() -> OpenReader:
    """The C extension's reader. Raises NativeMissing where there is none."""
    from fitcheck.bench.native import open_reader  # noqa: PLC0415 (loads the extension)

    return open_reader


def _settings(max_threads: int, pages: Sequence[Pages]) -> list[Setting]:
    """All threads first: if time runs out, what matters most has been measured."""
    return [(threads, kind) for threads in reversed(thread_counts(max_threads)) for kind in pages]


def _passes(
    reader: Reader, settings: list[Setting], deadline: float, budget_s: float, tell: Progress
) -> dict[Setting, list[float]]:
    """Seconds of each setting's passes, interleaved; each one's first pass only warms up."""
    taken: dict[Setting, list[float]] = {setting: [] for setting in settings}
    warm: set[Setting] = set()
    for done, setting in _rounds(settings):
        left = deadline - time.monotonic()
        if left <= 0 and warm:
            break
        if setting not in warm:
            reader.seconds(*setting)
            warm.add(setting)
        taken[setting].append(reader.seconds(*setting))
        tell(min(1.0, max(done, 1 - left / budget_s if budget_s else 1.0)))
    return taken


def _rounds(settings: list[Setting]) -> Iterator[tuple[float, Setting]]:
    """Every setting in turn, as often as is ever useful, each with the share done by then."""
    total = ENOUGH_PASSES * len(settings)
    for index in range(total):
        yield index / total, settings[index % len(settings)]


def _row(setting: Setting, seconds: list[float], buffer_bytes: int) -> ReadBandwidth:
    from statistics import median  # noqa: PLC0415 (slow to import, and planning comes through here)

    threads, pages = setting
    return ReadBandwidth(threads, pages, buffer_bytes / median(seconds), buffer_bytes / min(seconds))
