"""The C extension, with Python's types: the only file that imports it.

Nothing is decided here. Sizes and names go in, seconds and bytes come out, and
every result says which kernel ran. Without the extension each entry point
raises NativeMissing. Memory is held by context managers, so that Ctrl-C gives
it back; C code runs without the interpreter's lock, in calls of a few seconds
at most if the caller asks for few rounds.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from fitcheck.errors import BadInput, NativeMissing, NotEnoughMemory
from fitcheck.schema.machine import Pages

ISA_VARIABLE = "FITCHECK_ISA"


@cache
def _native() -> tuple[Any, Any]:
    try:
        extension = import_module("fitcheck._native")  # optional: absent without a compiler
    except ModuleNotFoundError as error:
        raise NativeMissing("it was not built when fitcheck was installed") from error
    except ImportError as error:
        raise NativeMissing(str(error)) from error
    return extension.ffi, extension.lib


def available() -> bool:
    return missing() is None


def missing() -> NativeMissing | None:
    """Why nothing can be measured here; None where all is well."""
    try:
        _native()
    except NativeMissing as error:
        return error
    return None


# ---- the CPU and its kernels ----


def cpu_features() -> tuple[str, ...]:
    """What the processor has and the operating system lets us use."""
    ffi, lib = _native()
    bits: int = lib.fc_cpu_features()
    names: list[str] = []
    while (name := lib.fc_cpu_feature_name(len(names))) != ffi.NULL:
        names.append(ffi.string(name).decode())
    return tuple(name for index, name in enumerate(names) if bits >> index & 1)


def isas_in_build() -> tuple[str, ...]:
    """Plainest first; FITCHECK_ISA takes one of these names."""
    ffi, lib = _native()
    return tuple(ffi.string(lib.fc_isa(index).isa).decode() for index in range(lib.fc_isa_count()))


def isas() -> tuple[str, ...]:
    """Those of them that this CPU runs."""
    _, lib = _native()
    return tuple(isa for index, isa in enumerate(isas_in_build()) if lib.fc_isa_runs_here(index))


def kernel_isa(format_name: str, isa: str | None = None) -> str:
    """The ISA of the kernel that runs this format, under a cap (FITCHECK_ISA if none is given)."""
    ffi, _ = _native()
    return str(ffi.string(_gemv_kernels(_format(format_name), isa).isa).decode())


def _gemv_kernels(format_index: int, isa: str | None) -> Any:
    ffi, lib = _native()
    return _known(lib.fc_best_gemv(format_index, _c_string(ffi, isa)), isa)


def _read_kernels(isa: str | None) -> Any:
    ffi, lib = _native()
    return _known(lib.fc_best_read(_c_string(ffi, isa)), isa)


def _c_string(ffi: Any, text: str | None) -> Any:
    return ffi.NULL if text is None else text.encode()


def _known(kernels: Any, isa: str | None) -> Any:
    if kernels:
        return kernels
    asked = isa or os.environ.get(ISA_VARIABLE, "")
    raise BadInput(
        f"no kernels for the ISA {asked!r}", f"{ISA_VARIABLE} takes one of: {', '.join(isas_in_build())}"
    )


# ---- formats ----


def _format(name: str) -> int:
    _, lib = _native()
    index = int(lib.fc_format_by_name(name.lower().encode()))
    if index < 0:
        raise BadInput(f"no packed kernel for the format {name!r}", f"one of: {', '.join(formats())}")
    return index


@cache
def formats() -> tuple[str, ...]:
    """Formats with kernels, by their C names: trit5, i2_s, tq1_0, … (any case is understood)."""
    ffi, lib = _native()
    return tuple(ffi.string(lib.fc_facts(index).name).decode() for index in range(lib.FC_FORMATS))


def row_bytes(format_name: str, cols: int) -> int:
    """Bytes of one packed row, scales that lie beside the data excluded."""
    _, lib = _native()
    size = int(lib.fc_row_bytes(_format(format_name), cols))
    if size < 0:
        block = lib.fc_facts(_format(format_name)).block_weights
        raise BadInput(f"{format_name} has no rows of {cols} columns", f"choose a multiple of {block}")
    return size


def pack_row(format_name: str, weights: bytes, scale: float = 1.0) -> bytes:
    """One row of int8 -1, 0, 1 in a ternary format. ``scale`` is for formats that keep it in the blocks."""
    ffi, lib = _native()
    row = ffi.new("uint8_t[]", row_bytes(format_name, len(weights)))
    if lib.fc_pack_row(_format(format_name), ffi.from_buffer("int8_t[]", weights), len(weights), scale, row):
        raise BadInput(f"{format_name} does not hold ternary weights", "trit5, i2_s, tq1_0 and tq2_0 do")
    return bytes(ffi.buffer(row))


def unpack_row(format_name: str, row: bytes, cols: int) -> bytes:
    """The int8 weights of one ternary row."""
    ffi, lib = _native()
    _check_length(row, row_bytes(format_name, cols))
    weights = ffi.new("int8_t[]", cols)
    if lib.fc_unpack_row(_format(format_name), ffi.from_buffer("uint8_t[]", row), cols, weights):
        raise BadInput(f"{format_name} does not hold ternary weights", "trit5, i2_s, tq1_0 and tq2_0 do")
    return bytes(ffi.buffer(weights))


def dequantise_row(format_name: str, row: bytes, cols: int) -> bytes:
    """One row as 32-bit floats in machine order; a scale beside the data is left out."""
    ffi, lib = _native()
    _check_length(row, row_bytes(format_name, cols))
    floats = ffi.new("float[]", cols)
    lib.fc_dequantise_row(_format(format_name), ffi.from_buffer("uint8_t[]", row), cols, floats)
    return bytes(ffi.buffer(floats))


def _check_length(data: bytes, expected: int) -> None:
    if len(data) != expected:
        raise BadInput(f"{len(data)} bytes where {expected} are needed", "pass whole rows")


# ---- what is held while measuring ----


class _Held:
    """Something of C's that must be given back."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Pool(_Held):
    """Threads, pinned one to a CPU where there are CPUs enough; asleep between calls."""

    def __init__(self, threads: int) -> None:
        ffi, lib = _native()
        self.threads = threads
        self.handle = lib.fc_pool_new(threads)
        if self.handle == ffi.NULL:
            raise BadInput(f"can't start {threads} threads", "ask for fewer, at least one")
        self.pinned = int(lib.fc_pool_pinned(self.handle))

    def close(self) -> None:
        ffi, lib = _native()
        handle, self.handle = self.handle, ffi.NULL
        lib.fc_pool_free(handle)


class Arena(_Held):
    """Memory for weights: mapped now, resident once written, unmapped on close."""

    def __init__(self, size_bytes: int, pages: Pages = "huge") -> None:
        ffi, lib = _native()
        self.size_bytes = size_bytes
        self.pages = pages
        self.handle = lib.fc_arena_new(size_bytes, pages == "huge")
        if self.handle == ffi.NULL:
            raise NotEnoughMemory(f"can't map {size_bytes} bytes", "ask for a smaller buffer")

    @property
    def base(self) -> Any:
        return self.handle.base

    def close(self) -> None:
        ffi, lib = _native()
        handle, self.handle = self.handle, ffi.NULL
        lib.fc_arena_free(handle)


# ---- measuring ----


def read_seconds(
    pool: Pool, arena: Arena, size_bytes: int, rounds: int = 1, isa: str | None = None
) -> list[float]:
    """Seconds of each of ``rounds`` reads of the arena's first bytes by all threads of the pool."""
    ffi, lib = _native()
    if size_bytes > arena.size_bytes:
        raise BadInput("a read past the arena's end", "ask for no more than its size")
    seconds = ffi.new("double[]", rounds)
    lib.fc_time_read(pool.handle, _read_kernels(isa), arena.base, size_bytes, rounds, seconds)
    return list(seconds)


class BandwidthReader(_Held):
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
    _, lib = _native()
    page = 4096
    lib.fc_fill(pool.handle, _format("q8_0"), arena.base, arena.size_bytes // (page // 32 * 34), page, 1)


@dataclass(frozen=True)
class Timing:
    """Raw seconds of each round of ``passes`` products, and the kernel that ran."""

    isa: str
    threads: int
    weights: int
    weight_bytes: int
    passes: int
    seconds: tuple[float, ...]


class Matrix(_Held):
    """Random legal weights in one packing, filled by the threads that will read them.

    ``scale`` beside the data is 1/sqrt(cols) everywhere, so results stay near one in size.
    """

    def __init__(self, format_name: str, rows: int, cols: int, pool: Pool, pages: Pages = "huge") -> None:
        ffi, lib = _native()
        self._format = _format(format_name)
        self.row_bytes = row_bytes(format_name, cols)
        self.rows, self.cols, self.size_bytes = rows, cols, rows * self.row_bytes
        self._pool = pool
        self.arena = Arena(self.size_bytes, pages)
        self._scales = ffi.new("float[]", [cols**-0.5] * rows)
        self._y = ffi.new("float[]", rows)
        self._w = ffi.new("fc_matrix *", [self.arena.base, self._scales, rows, cols, self.row_bytes])
        self._x = ffi.gc(lib.fc_activation_new(cols), lib.fc_activation_free)
        lib.fc_fill(pool.handle, self._format, self.arena.base, rows, cols, 1)
        self.set_vector([((7 * i) % 255 - 127) / 127 for i in range(cols)])

    def set_vector(self, x: Sequence[float]) -> None:
        """The vector to multiply by, quantised and laid out as the format wants."""
        ffi, lib = _native()
        if len(x) != self.cols:
            raise BadInput(f"a vector of {len(x)} for {self.cols} columns", "pass one value a column")
        lib.fc_activation_set(self._x, self._format, ffi.new("float[]", list(x)), self.cols)

    def set_rows(self, rows: bytes, scales: Sequence[float] | None = None) -> None:
        """Replace all rows (and the scales beside them) with packed bytes of the caller's."""
        ffi, _ = _native()
        _check_length(rows, self.size_bytes)
        ffi.memmove(self.arena.base, rows, self.size_bytes)
        if scales is not None:
            self._scales[0 : len(scales)] = list(scales)

    def rows_as_bytes(self) -> bytes:
        """All packed rows, one after the other."""
        ffi, _ = _native()
        return bytes(ffi.buffer(self.arena.base, self.size_bytes))

    def results_as_bytes(self) -> bytes:
        """What the last product left, as 32-bit floats in machine order."""
        ffi, _ = _native()
        return bytes(ffi.buffer(self._y))

    def multiply(self, isa: str | None = None) -> bytes:
        """The product as 32-bit floats in machine order."""
        self.time(rounds=1, isa=isa)
        return self.results_as_bytes()

    def mismatches(self, isa: str | None = None, rows: int | None = None) -> int:
        """How many of the first ``rows`` results differ from scalar's in any bit."""
        _, lib = _native()
        kernels = _gemv_kernels(self._format, isa)
        count = self.rows if rows is None else min(rows, self.rows)
        return int(lib.fc_check_gemv(kernels, self._format, self._w, self._x, 0, count))

    def time(self, rounds: int, passes: int = 1, isa: str | None = None, pool: Pool | None = None) -> Timing:
        """Seconds of each round; ``passes`` above 1 is for matrices that fit a cache."""
        ffi, lib = _native()
        pool = pool or self._pool
        kernels = _gemv_kernels(self._format, isa)
        seconds = ffi.new("double[]", rounds)
        lib.fc_time_gemv(
            pool.handle, kernels, self._format, self._w, self._x, rounds, passes, self._y, seconds
        )
        weights = self.rows * self.cols
        name = ffi.string(kernels.isa).decode()
        return Timing(name, pool.threads, weights, self.size_bytes, passes, tuple(seconds))

    def read_seconds(self, rounds: int, isa: str | None = None, pool: Pool | None = None) -> list[float]:
        """The same bytes, only read: what the product would take if arithmetic were free."""
        return read_seconds(pool or self._pool, self.arena, self.size_bytes, rounds, isa)

    def close(self) -> None:
        self.arena.close()
