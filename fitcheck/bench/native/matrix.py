"""Packed random matrices: multiplied, checked against scalar, timed."""

from collections.abc import Sequence
from dataclasses import dataclass

from fitcheck.bench.native.extension import gemv_kernels, native
from fitcheck.bench.native.formats import check_length, format_index, matrix_bytes, row_bytes
from fitcheck.bench.native.memory import Arena, Held, Pool, read_seconds
from fitcheck.errors import BadInput
from fitcheck.schema.machine import Pages


@dataclass(frozen=True)
class Timing:
    """Raw seconds of each round of ``passes`` products, and the kernel that ran."""

    isa: str
    threads: int
    weights: int
    weight_bytes: int
    passes: int
    seconds: tuple[float, ...]


class Matrix(Held):
    """Random legal weights in one packing, filled by the threads that will read them.

    ``scale`` beside the data is 1/sqrt(cols) everywhere, so results stay near one in size.
    """

    def __init__(self, format_name: str, rows: int, cols: int, pool: Pool, pages: Pages = "huge") -> None:
        ffi, lib = native()
        self.format_index = format_index(format_name)
        self.row_bytes = row_bytes(format_name, cols)
        self.rows, self.cols, self.size_bytes = rows, cols, matrix_bytes(format_name, rows, cols)
        self.pool = pool
        self.arena = Arena(self.size_bytes, pages)
        self._scales = ffi.new("float[]", [cols**-0.5] * rows)
        self._y = ffi.new("float[]", rows)
        self.c_matrix = ffi.new("fc_matrix *", [self.arena.base, self._scales, rows, cols, self.row_bytes])
        self._x = ffi.gc(lib.fc_activation_new(cols), lib.fc_activation_free)
        lib.fc_fill(pool.handle, self.format_index, self.arena.base, rows, cols, 0, rows, 1)
        self.set_vector([((7 * i) % 255 - 127) / 127 for i in range(cols)])

    def set_vector(self, x: Sequence[float]) -> None:
        """The vector to multiply by, quantised and laid out as the format wants."""
        ffi, lib = native()
        if len(x) != self.cols:
            raise BadInput(f"a vector of {len(x)} for {self.cols} columns", "pass one value a column")
        lib.fc_activation_set(self._x, self.format_index, ffi.new("float[]", list(x)), self.cols)

    def set_rows(self, rows: bytes, scales: Sequence[float] | None = None) -> None:
        """Replace all rows (and the scales beside them) with packed bytes of the caller's."""
        ffi, _ = native()
        check_length(rows, self.size_bytes)
        ffi.memmove(self.arena.base, rows, self.size_bytes)
        if scales is not None:
            self._scales[0 : len(scales)] = list(scales)

    def rows_as_bytes(self) -> bytes:
        """All packed rows, one after the other."""
        ffi, _ = native()
        return bytes(ffi.buffer(self.arena.base, self.size_bytes))

    def results_as_bytes(self) -> bytes:
        """What the last product left, as 32-bit floats in machine order."""
        ffi, _ = native()
        return bytes(ffi.buffer(self._y))

    def multiply(self, isa: str | None = None) -> bytes:
        """The product as 32-bit floats in machine order."""
        self.time(rounds=1, isa=isa)
        return self.results_as_bytes()

    def mismatches(self, isa: str | None = None, rows: int | None = None) -> int:
        """How many of the first ``rows`` results differ from scalar's in any bit."""
        _, lib = native()
        kernels = gemv_kernels(self.format_index, isa)
        count = self.rows if rows is None else min(rows, self.rows)
        return int(lib.fc_check_gemv(kernels, self.format_index, self.c_matrix, self._x, 0, count))

    def time(self, rounds: int, passes: int = 1, isa: str | None = None, pool: Pool | None = None) -> Timing:
        """Seconds of each round; ``passes`` above 1 is for matrices that fit a cache."""
        ffi, lib = native()
        pool = pool or self.pool
        kernels = gemv_kernels(self.format_index, isa)
        seconds = ffi.new("double[]", rounds)
        lib.fc_time_gemv(
            pool.handle, kernels, self.format_index, self.c_matrix, self._x, rounds, passes, self._y, seconds
        )
        weights = self.rows * self.cols
        name = ffi.string(kernels.isa).decode()
        return Timing(name, pool.threads, weights, self.size_bytes, passes, tuple(seconds))

    def read_seconds(self, rounds: int, isa: str | None = None, pool: Pool | None = None) -> list[float]:
        """The same bytes, only read: what the product would take if arithmetic were free."""
        return read_seconds(pool or self.pool, self.arena, self.size_bytes, rounds, isa)

    def close(self) -> None:
        self.arena.close()
