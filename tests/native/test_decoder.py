"""The decode step against the same forward pass in NumPy."""

from collections.abc import Iterator
from typing import Any

import pytest

from fitcheck.bench import native
from fitcheck.bench.native import extension
from fitcheck.bench.native.decoder import Decoder, arena_bytes
from fitcheck.bench.shape import DecodeShape, FfnShape, LayerShape, Packed

np = pytest.importorskip("numpy")
if not native.available():
    pytest.skip("the C extension is not installed", allow_module_level=True)

HIDDEN, HEADS, KV_HEADS, DIM, INNER, VOCAB, CELLS = 256, 8, 2, 32, 512, 96, 16


def shape(
    form: str = "f16", experts: int = 1, active: int = 1, window: int = 0, layers: int = 2
) -> DecodeShape:
    def packed(rows: int, cols: int) -> Packed:
        return Packed(form, rows, cols)

    ffn = FfnShape(
        packed(experts * INNER, HIDDEN), packed(experts * INNER, HIDDEN), packed(experts * HIDDEN, INNER),
        INNER, experts, active,
    )  # fmt: skip
    layer = LayerShape(
        packed(HEADS * DIM, HIDDEN), packed(KV_HEADS * DIM, HIDDEN), packed(KV_HEADS * DIM, HIDDEN),
        packed(HIDDEN, HEADS * DIM), HEADS, KV_HEADS, DIM, window, (ffn,),
    )  # fmt: skip
    return DecodeShape(
        HIDDEN, CELLS, (layer,) * layers, packed(VOCAB, HIDDEN), packed(VOCAB, HIDDEN), tied=False
    )


@pytest.fixture(params=[1, 2, 3], ids=["1 thread", "2 threads", "3 threads"])
def pool(request: pytest.FixtureRequest) -> Iterator[native.Pool]:
    with native.Pool(request.param) as threads:
        yield threads


def filled(wanted: DecodeShape, pool: native.Pool) -> Decoder:
    decoder = Decoder(wanted, pool)
    for number in range(len(wanted.layers)):
        decoder.fill_layer(number)
    return decoder


class Reference:
    """The forward pass, token by token, from the decoder's own weights."""

    def __init__(self, decoder: Decoder) -> None:
        self.shape = decoder.shape
        self.layers = decoder._layers
        self.table = matrix(decoder._c_shape.embedding)
        self.output = matrix(decoder._c_shape.output)
        self.keys = [caches(decoder, n, "k_cache") for n in range(len(self.shape.layers))]
        self.values = [caches(decoder, n, "v_cache") for n in range(len(self.shape.layers))]
        self.random = 0x9E3779B97F4A7C15

    def step(self, depth: int) -> Any:
        x = self.table[self.draw() % VOCAB].astype(np.float64)
        for number, layer in enumerate(self.shape.layers):
            x = x + self.attention(number, layer, norm(x), depth)
            x = x + self.feed_forward(number, norm(x))
        logits = self.output @ norm(x)
        self.random += int(np.argmax(logits))
        return logits

    def draw(self) -> int:
        value, mask = self.random, (1 << 64) - 1
        value ^= (value << 13) & mask
        value ^= value >> 7
        value ^= (value << 17) & mask
        self.random = value
        return value

    def attention(self, number: int, layer: LayerShape, x: Any, depth: int) -> Any:
        c = self.layers[number]
        q = rotate((matrix(c.q) @ x).reshape(HEADS, DIM), depth) / np.sqrt(DIM)
        self.keys[number][:, depth] = rotate((matrix(c.k) @ x).reshape(KV_HEADS, DIM), depth)
        self.values[number][:, depth] = (matrix(c.v) @ x).reshape(KV_HEADS, DIM)
        first = max(0, depth + 1 - layer.window) if layer.window else 0
        mixed = []
        for head in range(HEADS):
            keys = self.keys[number][head * KV_HEADS // HEADS, first : depth + 1]
            values = self.values[number][head * KV_HEADS // HEADS, first : depth + 1]
            scores = np.exp(keys @ q[head] - np.max(keys @ q[head]))
            mixed.append(scores / scores.sum() @ values)
        return matrix(c.o) @ np.concatenate(mixed)

    def feed_forward(self, number: int, x: Any) -> Any:
        ffn = self.shape.layers[number].ffns[0]
        c = self.layers[number].ffn[0]
        gate, up, down = matrix(c.gate), matrix(c.up), matrix(c.down)
        first, stride = self.draw() % ffn.experts, ffn.experts // ffn.active
        total = np.zeros(HIDDEN)
        for i in range(ffn.active):
            expert = (first + i * stride) % ffn.experts
            rows, back = (
                slice(expert * INNER, (expert + 1) * INNER),
                slice(expert * HIDDEN, (expert + 1) * HIDDEN),
            )
            gated = gate[rows] @ x
            total += down[back] @ (up[rows] @ x * gated / (1 + np.exp(-gated)))
        return total


def norm(x: Any) -> Any:
    return x / np.sqrt(np.mean(x * x) + 1e-5)


def rotate(heads: Any, depth: int) -> Any:
    angles = depth * 500000.0 ** (-2 * np.arange(DIM // 2) / DIM)
    a, b = heads[:, : DIM // 2], heads[:, DIM // 2 :]
    return np.hstack([a * np.cos(angles) - b * np.sin(angles), a * np.sin(angles) + b * np.cos(angles)])


def matrix(packed: Any) -> Any:
    """A packed matrix as floats, with the scales that lie beside it."""
    ffi, lib = extension.native()
    name = ffi.string(lib.fc_facts(packed.format).name).decode()
    w = packed.matrix
    data = bytes(ffi.buffer(w.data, native.matrix_bytes(name, w.rows, w.cols)))
    rows = [np.frombuffer(native.dequantise_row(name, data, w.cols, r), "f4") for r in range(w.rows)]
    beside = int(lib.fc_facts(packed.format).scales)
    scales = [w.scales[r] if beside == 1 else w.scales[0] if beside == 0 else 1.0 for r in range(w.rows)]
    return np.array(rows, np.float64) * np.array(scales)[:, None]


def caches(decoder: Decoder, number: int, which: str) -> Any:
    ffi, _ = extension.native()
    size = KV_HEADS * CELLS * DIM * 2
    halves = np.frombuffer(bytes(ffi.buffer(getattr(decoder._layers[number], which), size)), "f2")
    return halves.reshape(KV_HEADS, CELLS, DIM).astype(np.float64)


@pytest.mark.parametrize(
    "case", [{}, {"experts": 4, "active": 2}, {"window": 3}], ids=["dense", "experts", "window"]
)
def test_f16_equals_numpy(case: dict[str, int], pool: native.Pool) -> None:
    with filled(shape(**case), pool) as decoder:
        reference = Reference(decoder)
        for depth in (0, 1, 2, 7):
            decoder.step(depth)
            got = np.frombuffer(decoder.logits(), "f4")
            want = reference.step(depth)
            assert np.allclose(got, want, atol=2e-2 * np.abs(want).max()), depth


@pytest.mark.parametrize("experts", [1, 3], ids=["dense", "experts"])
@pytest.mark.parametrize("form", ["trit5", "trit3", "i2_s", "tq1_0", "tq2_0", "q4_k", "q6_k", "q8_0"])
def test_packed_formats_follow_numpy(form: str, experts: int, pool: native.Pool) -> None:
    """Activations are int8, so logits agree to the rounding of activations, not of floats."""
    with filled(shape(form, layers=1, experts=experts, active=min(2, experts)), pool) as decoder:
        reference = Reference(decoder)
        decoder.step(0)
        got = np.frombuffer(decoder.logits(), "f4")
        want = reference.step(0)
    assert np.corrcoef(got, want)[0, 1] > 0.99


def test_the_arena_holds_all_that_is_filled(pool: native.Pool) -> None:
    wanted = shape("q4_k", experts=3, active=2)
    with filled(wanted, pool) as decoder:
        assert decoder._used == arena_bytes(wanted)


def test_no_step_beyond_the_cache(pool: native.Pool) -> None:
    from fitcheck.errors import BadInput

    with filled(shape(), pool) as decoder, pytest.raises(BadInput, match="no cell"):
        decoder.step(CELLS)
