"""The decode step of decode.c, with Python's types.

Weights of every layer lie in one arena: mapped when the decoder is made,
resident as they are filled, unmapped on close.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fitcheck.bench.native.extension import native
from fitcheck.bench.native.formats import arrangement, format_index, matrix_bytes, row_bytes, rows_together
from fitcheck.bench.native.memory import Arena, Held, Pool
from fitcheck.bench.shape import DecodeShape, FfnShape, LayerShape, Packed
from fitcheck.errors import BadInput

_ALIGNMENT = 4096  # rows of a matrix start on a page, as in a mapped file's large tensors
_FLOAT, _HALF = 4, 2
_LINES = 64  # bytes; caches are filled as lines of f16


def arena_bytes(shape: DecodeShape) -> int:
    """What the weights and caches of all layers of a shape take."""
    return outside_bytes(shape) + sum(layer_bytes(shape, layer) for layer in shape.layers)


def outside_bytes(shape: DecodeShape) -> int:
    tables = (shape.output,) if shape.tied else (shape.output, shape.embedding)
    return sum(_packed_bytes(table) for table in tables)


def layer_bytes(shape: DecodeShape, layer: LayerShape) -> int:
    """Matrices, scales, routers and the two halves of the KV cache."""
    routers = sum(_aligned(ffn.experts * shape.hidden * _FLOAT) for ffn in layer.ffns if ffn.experts > 1)
    return sum(_packed_bytes(w) for w in _matrices(layer)) + routers + 2 * _aligned(cache_bytes(shape, layer))


def cache_bytes(shape: DecodeShape, layer: LayerShape) -> int:
    """One of keys and values, f16."""
    return layer.kv_heads * shape.cells * layer.head_dim * _HALF


@dataclass(frozen=True, slots=True)
class Step:
    """Seconds of a step's layers and of its output, and the plain reads between them, if any."""

    layers_s: float
    output_s: float
    reading_s: float
    bytes_read: int

    @property
    def read_bytes_per_s(self) -> float:
        return self.bytes_read / self.reading_s


class Decoder(Held):
    """Runs decode steps of a shape. Fill every layer before the first step."""

    def __init__(self, shape: DecodeShape, pool: Pool) -> None:
        ffi, _ = native()
        self.shape = shape
        self._pool = pool
        self._used = 0
        self._handle = ffi.NULL
        self.arena = Arena(arena_bytes(shape), "huge")
        self._layers = ffi.new("fc_layer[]", max(1, len(shape.layers)))
        self._c_shape = ffi.new("fc_shape *")
        self._fill_outside()

    def fill_layer(self, number: int) -> None:
        """Draw the weights and the cache of a layer, by the threads that will read them."""
        layer, target = self.shape.layers[number], self._layers[number]
        for name, packed in zip("qkvo", (layer.query, layer.key, layer.value, layer.output), strict=True):
            self._fill(getattr(target, name), packed)
        target.heads, target.kv_heads, target.head_dim = layer.heads, layer.kv_heads, layer.head_dim
        target.window = layer.window
        target.k_cache, target.v_cache = self._cache(layer), self._cache(layer)
        target.ffns = len(layer.ffns)
        for place, ffn in enumerate(layer.ffns):
            self._fill_ffn(target.ffn[place], ffn)

    def step(self, depth: int, *, between: bool = False) -> Step:
        """Decode a token with ``depth`` in the cache; with ``between``, read plainly after each layer."""
        ffi, lib = native()
        if not 0 <= depth < self.shape.cells:
            raise BadInput(f"no cell {depth} in a cache of {self.shape.cells}", "make the context longer")
        if self._handle == ffi.NULL:
            self._handle = self._start()
        taken = lib.fc_decoder_step(self._handle, depth, between)
        return Step(taken.layers, taken.output, taken.reading, taken.bytes_read)

    def logits(self) -> bytes:
        """Scores of the vocabulary after the last step, as 32-bit floats in machine order."""
        ffi, lib = native()
        return bytes(ffi.buffer(lib.fc_decoder_logits(self._handle), self.shape.output.rows * _FLOAT))

    def close(self) -> None:
        ffi, lib = native()
        handle, self._handle = self._handle, ffi.NULL
        lib.fc_decoder_free(handle)
        self.arena.close()

    def _start(self) -> Any:
        ffi, lib = native()
        c = self._c_shape
        c.hidden, c.cells, c.layers = self.shape.hidden, self.shape.cells, len(self.shape.layers)
        c.layer = self._layers
        handle = lib.fc_decoder_new(self._pool.handle, c, ffi.NULL)
        if handle == ffi.NULL:
            raise BadInput("there is no kernel or no memory for this shape", "choose another format")
        return handle

    def _fill_outside(self) -> None:
        self._fill(self._c_shape.output, self.shape.output)
        if self.shape.tied:
            self._c_shape.embedding = self._c_shape.output
        else:
            self._fill(self._c_shape.embedding, self.shape.embedding)

    def _fill(self, target: Any, packed: Packed, experts: int = 1) -> None:
        """Random legal rows; scales beside them keep results near one in size.

        Threads share the rows of each expert, so each writes its part of each.
        """
        ffi, lib = native()
        lying = arrangement(packed.type)
        index = format_index(lying)
        size = row_bytes(lying, packed.cols)
        data = self._take(matrix_bytes(lying, packed.rows, packed.cols))
        scales = self._take(_scale_count(packed) * _FLOAT)
        ffi.memmove(
            scales, array("f", [packed.cols**-0.5]) * _scale_count(packed), _scale_count(packed) * _FLOAT
        )
        target.format = index
        target.matrix = [data, ffi.cast("float *", scales), packed.rows, packed.cols, size]
        if packed.rows // experts % rows_together(lying):
            experts = 1  # a set of rows that lie together is one thread's
        share, pool = packed.rows // experts, self._pool.handle
        for part in range(experts):
            lib.fc_fill(pool, index, data, packed.rows, packed.cols, part * share, share, self._used + part)

    def _fill_ffn(self, target: Any, ffn: FfnShape) -> None:
        ffi, _ = native()
        if ffn.gate is not None:
            self._fill(target.gate, ffn.gate, ffn.experts)
        self._fill(target.up, ffn.up, ffn.experts)
        self._fill(target.down, ffn.down, ffn.experts)
        target.size, target.experts, target.active = ffn.size, ffn.experts, ffn.active
        if ffn.experts > 1:
            router = self._take(ffn.experts * self.shape.hidden * _FLOAT)
            row = array("f", [0.01]) * (ffn.experts * self.shape.hidden)
            ffi.memmove(router, row, len(row) * _FLOAT)
            target.router = ffi.cast("float *", router)

    def _cache(self, layer: LayerShape) -> Any:
        """Half of a KV cache, filled: untouched pages would all be one page of zeros."""
        ffi, lib = native()
        size = cache_bytes(self.shape, layer)
        data = self._take(size)
        lines = size // _LINES
        lib.fc_fill(
            self._pool.handle, format_index("f16"), data, lines, _LINES // _HALF, 0, lines, self._used
        )
        return ffi.cast("uint16_t *", data)

    def _take(self, size: int) -> Any:
        start, self._used = self._used, self._used + _aligned(size)
        return self.arena.base + start


def _matrices(layer: LayerShape) -> Iterator[Packed]:
    yield from (layer.query, layer.key, layer.value, layer.output)
    for ffn in layer.ffns:
        yield from (packed for packed in (ffn.gate, ffn.up, ffn.down) if packed is not None)


def _packed_bytes(packed: Packed) -> int:
    matrix = matrix_bytes(arrangement(packed.type), packed.rows, packed.cols)
    return _aligned(matrix) + _aligned(_scale_count(packed) * _FLOAT)


def _scale_count(packed: Packed) -> int:
    """Floats beside the rows: one a row, one for all, or none."""
    _, lib = native()
    return {1: packed.rows, 0: 1}.get(int(lib.fc_facts(format_index(packed.type)).scales), 0)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
