"""Threads and memory, held by context managers so that Ctrl-C gives them back; and timed reads."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from fitcheck.bench.native.extension import native, read_kernels
from fitcheck.bench.native.formats import format_index
from fitcheck.errors import BadInput, NotEnoughMemory
from fitcheck.schema.machine import Pages


class Held:
    """Something of C's that must be given back."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Pool(Held):
    """Threads, pinned one to a CPU where there are CPUs enough; asleep between calls."""

    def __init__(self, threads: int) -> None:
        ffi, lib = native()
        self.threads = threads
        self.handle = lib.fc_pool_new(threads)
        if self.handle == ffi.NULL:
            raise BadInput(f"can't start {threads} threads", "ask for fewer, at least one")
        self.pinned = int(lib.fc_pool_pinned(self.handle))

    def close(self) -> None:
        ffi, lib = native()
        handle, self.handle = self.handle, ffi.NULL
        lib.fc_pool_free(handle)


class Arena(Held):
    """Memory for weights: mapped now, resident once written, unmapped on close."""

    def __init__(self, size_bytes: int, pages: Pages = "huge") -> None:
        ffi, lib = native()
        self.size_bytes = size_bytes
        self.pages = pages
        self.handle = lib.fc_arena_new(size_bytes, pages == "huge")
        if self.handle == ffi.NULL:
            raise NotEnoughMemory(f"can't map {size_bytes} bytes", "ask for a smaller buffer")

    @property
    def base(self) -> Any:
        return self.handle.base

    def close(self) -> None:
        ffi, lib = native()
        handle, self.handle = self.handle, ffi.NULL
        lib.fc_arena_free(handle)


def read_seconds(
    pool: Pool, arena: Arena, size_bytes: int, rounds: int = 1, isa: str | None = None
) -> list[float]:
    """Seconds of each of ``rounds`` reads of the arena's first bytes by all threads of the pool."""
    ffi, lib = native()
    if size_bytes > arena.size_bytes:
        raise BadInput("a read past the arena's end", "ask for no more than its size")
    seconds = ffi.new("double[]", rounds)
    lib.fc_time_read(pool.handle, read_kernels(isa), arena.base, size_bytes, rounds, seconds)
    return list(seconds)


class BandwidthReader(Held):
    """A buffer on each kind of pages, read by any number of threads: bandwidth.py's Reader."""

    def __init__(self, buffer_bytes: int, max_threads: int, pages: Sequence[Pages]) -> None:
        self._bytes = buffer_bytes
        self._pools: dict[int, Pool] = {}
        self._arenas: dict[Pages, Arena] = {}
        try:
            for kind in pages:
                self._arenas[kind] = Arena(buffer_bytes, kind)
                _touch(self._pool(max_threads), self._arenas[kind])
        except BaseException:
            self.close()
            raise

    def seconds(self, threads: int, pages: Pages) -> float:
        return read_seconds(self._pool(threads), self._arenas[pages], self._bytes)[0]

    def _pool(self, threads: int) -> Pool:
        if threads not in self._pools:
            self._pools[threads] = Pool(threads)
        return self._pools[threads]

    def close(self) -> None:
        for held in (*self._pools.values(), *self._arenas.values()):
            held.close()
        self._pools.clear()
        self._arenas.clear()


open_reader = BandwidthReader


def _touch(pool: Pool, arena: Arena) -> None:
    """First touch by the threads that will read: unwritten pages would all be one page of zeros."""
    _, lib = native()
    page = 4096
    rows = arena.size_bytes // (page // 32 * 34)
    lib.fc_fill(pool.handle, format_index("q8_0"), arena.base, rows, page, 0, rows, 1)
