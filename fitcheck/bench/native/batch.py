"""Several vectors at once beside one: packed weights that serve a few tokens."""

from fitcheck.bench.native.extension import batch_kernels, gemm_kernels, native
from fitcheck.bench.native.formats import format_index, formats
from fitcheck.bench.native.matrix import Matrix, Timing
from fitcheck.errors import BadInput


def most_tokens() -> int:
    _, lib = native()
    return int(lib.FC_MOST_TOKENS)


def batch_formats() -> tuple[str, ...]:
    """Formats whose weights need unpacking, so that tokens gain by sharing it."""
    _, lib = native()
    return tuple(name for name in formats() if lib.fc_best_gemm(format_index(name), b"scalar"))


def batch_isa(format_name: str) -> str:
    """The ISA of the kernel that runs a batch of this format, under FITCHECK_ISA."""
    ffi, _ = native()
    return str(ffi.string(gemm_kernels(format_index(format_name), None).isa).decode())


class Batch:
    """A matrix and ``tokens`` vectors, all different. The matrix stays its owner's."""

    def __init__(self, matrix: Matrix, tokens: int) -> None:
        ffi, _ = native()
        if not 1 <= tokens <= most_tokens():
            raise BadInput(f"no batch of {tokens} tokens", f"choose 1 to {most_tokens()}")
        self._matrix, self.tokens = matrix, tokens
        self._y = ffi.new("float[]", tokens * matrix.rows)
        self._held = [self._vector(token) for token in range(tokens)]
        self._x = ffi.new("fc_activation *[]", self._held)

    def mismatches(self, isa: str | None = None, rows: int | None = None) -> int:
        """How many of the first ``rows`` results of all tokens differ from scalar's in any bit."""
        _, lib = native()
        matrix = self._matrix
        kernels = gemm_kernels(matrix.format_index, isa)
        count = matrix.rows if rows is None else min(rows, matrix.rows)
        return int(
            lib.fc_check_gemm(kernels, matrix.format_index, matrix.c_matrix, self._x, self.tokens, 0, count)
        )

    def time(self, rounds: int, passes: int = 1, isa: str | None = None) -> Timing:
        """Seconds of each round of ``passes`` products with all tokens; ``weights`` counts each once.

        Vectors are taken together or one by one, whichever kernels.def says is quicker.
        """
        ffi, lib = native()
        matrix = self._matrix
        kernels = batch_kernels(matrix.format_index, self.tokens, isa)
        seconds = ffi.new("double[]", rounds)
        lib.fc_time_gemm(
            matrix.pool.handle,
            kernels,
            matrix.format_index,
            matrix.c_matrix,
            self._x,
            self.tokens,
            rounds,
            passes,
            self._y,
            seconds,
        )
        name, weights = ffi.string(kernels.isa).decode(), matrix.rows * matrix.cols
        return Timing(name, matrix.pool.threads, weights, matrix.size_bytes, passes, tuple(seconds))

    def _vector(self, token: int) -> object:
        ffi, lib = native()
        cols = self._matrix.cols
        held = ffi.gc(lib.fc_activation_new(cols), lib.fc_activation_free)
        values = ffi.new("float[]", [((7 * i + 31 * token) % 255 - 127) / 127 for i in range(cols)])
        lib.fc_activation_set(held, self._matrix.format_index, values, cols)
        return held
