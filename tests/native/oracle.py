"""The formats once more, in NumPy, from their descriptions: what scalar C is checked against."""

import numpy as np

TERNARY = ("trit5", "trit5x64", "i2_s", "tq1_0", "tq2_0", "trit3", "tl1", "tl2")
BLOCK = {
    "trit5": 1,
    "i2_s": 128,
    "tq1_0": 256,
    "tq2_0": 256,
    "trit3": 1,
    "trit5x64": 1,
    "tl1": 64,
    "tl2": 32,
    "q4_k": 256,
    "q6_k": 256,
    "q8_0": 32,
    "f16": 1,
    "bf16": 1,
}
ONE_SCALE = ("trit5", "trit5x64", "trit3", "i2_s", "tl1", "tl2")  # of the vector; theirs beside the rows
ACTIVATION_BLOCK = dict.fromkeys(ONE_SCALE) | {"q8_0": 32}


def pack_trit5(weights: np.ndarray) -> bytes:
    out = bytearray()
    for start in range(0, len(weights), 320):
        group = weights[start : start + 320]
        stride = -(-len(group) // 5)
        digits = np.ones(5 * stride, dtype=int)
        digits[: len(group)] = group + 1
        q = digits.reshape(5, stride).T @ np.array([81, 27, 9, 3, 1])
        out += bytes(-(-q * 256 // 243) for q in q.tolist())
    return bytes(out)


def pack_trit3(weights: np.ndarray) -> bytes:
    """Rows of weights: of 24 columns of 64 rows, four vectors of two sizes a byte, and one of eight signs."""
    rows, cols = weights.shape
    padded = np.zeros((-(-rows // 64) * 64, -(-cols // 24) * 24), dtype=int)
    padded[:rows, :cols] = weights
    codes = padded.reshape(-1, 64, padded.shape[1] // 24, 8, 3) @ np.array([9, 3, 1])
    codes = codes.transpose(0, 2, 3, 1)  # set, group, step, row
    sizes = abs(codes[:, :, 0::2]) | abs(codes[:, :, 1::2]) << 4
    signs = ((codes < 0) << np.arange(7, -1, -1)[:, None]).sum(axis=2, keepdims=True)
    return np.concatenate([sizes, signs], axis=2).astype(np.uint8).tobytes()


def pack_trit5x64(weights: np.ndarray) -> bytes:
    """Rows of weights: of 5 columns of 64 rows, a byte of sign and size each."""
    rows, cols = weights.shape
    padded = np.zeros((-(-rows // 64) * 64, -(-cols // 5) * 5), dtype=int)
    padded[:rows, :cols] = weights
    codes = padded.reshape(-1, 64, padded.shape[1] // 5, 5) @ np.array([81, 27, 9, 3, 1])
    codes = codes.transpose(0, 2, 1)  # set, group, row
    return (abs(codes) | (codes < 0) << 7).astype(np.uint8).tobytes()


def pack_i2_s(weights: np.ndarray) -> bytes:
    codes = (weights + 1).reshape(-1, 4, 32)
    return (codes[:, 0] << 6 | codes[:, 1] << 4 | codes[:, 2] << 2 | codes[:, 3]).astype(np.uint8).tobytes()


def quantise(x: np.ndarray, block: int | None) -> tuple[np.ndarray, np.ndarray]:
    """int8 by the largest magnitude of each block, as the C code has it: in float32, ties to even."""
    x = x.astype(np.float32).reshape(-1, block or len(x))
    most = np.abs(x).max(axis=1, keepdims=True)
    inverse = np.divide(np.float32(127), most, out=np.zeros_like(most), where=most > 0)
    return np.rint(x * inverse), most / np.float32(127)


def product(weights: np.ndarray, x: np.ndarray, format_name: str) -> np.ndarray:
    """Weights (rows of floats) times the quantised vector, in double precision."""
    if format_name in ("f16", "bf16"):
        return weights.astype(np.float64) @ x.astype(np.float32).astype(np.float64)
    q, scale = quantise(x, ACTIVATION_BLOCK.get(format_name, 256))
    return weights.astype(np.float64) @ (q * scale.astype(np.float64)).ravel()
