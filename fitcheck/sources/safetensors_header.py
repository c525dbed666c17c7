"""A safetensors header: names, dtypes, shapes and places of tensors, held against the file's bytes.

The format and its rules are https://github.com/huggingface/safetensors (safetensors/src/tensor.rs,
0a2aeda): a length, JSON of that length, then the data without gaps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from fitcheck.errors import BadInput
from fitcheck.sources.binary_file import ByteSource, foreign, shown
from fitcheck.sources.json_fields import NotJson, parse_json
from fitcheck.units import gb

LARGEST_HEADER = 100_000_000  # the format's own limit; the largest of real models has 10 MB

# JSON swells on its way into memory, thirtyfold for empty objects: what it will hold is counted first.
# A GPTQ model of 48 layers with 128 experts each, in one file, has 74 000 tensors: a quarter of this.
MOST_MARKS = {b"{": 1 << 18, b"[": 1 << 19, b",": 1 << 21}

_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
DTYPES = frozenset(_BITS)
"""What a tensor can be made of; packings of quantized checkpoints have names of their own."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor whose bytes are known to lie within its file."""

    name: str
    dtype: str
    shape: tuple[int, ...]  # rows first
    bytes: int

    @property
    def elements(self) -> int:
        """Numbers of that dtype. Packed weights are more than this."""
        return prod(self.shape)


def read_tensors(source: ByteSource) -> tuple[StoredTensor, ...]:
    """All tensors of one file, in the order of their data. Raises BadInput for anything unsound."""
    length = _header_length(source)
    text = source.read(8, length)
    if any(text.count(mark) > most for mark, most in MOST_MARKS.items()):
        raise _damaged(source, "claims more tensors than any model has")
    try:
        table = parse_json(text)
    except NotJson as error:
        raise _damaged(source, f"has a header that isn't sound JSON: {error}") from None
    if not isinstance(table, dict):
        raise _damaged(source, "has a header that is no table of tensors")
    table.pop("__metadata__", None)
    claims = sorted((_claim(source, name, row) for name, row in table.items()), key=lambda claim: claim[:2])
    return tuple(_tensors(source, claims, source.size - 8 - length))


def _header_length(source: ByteSource) -> int:
    head = source.read(0, 9)
    length = int.from_bytes(head[:8], "little")
    if len(head) < 9 or head[8:9] != b"{" or head[:4] == b"GGUF":
        raise foreign(source, "a safetensors file")
    if length > LARGEST_HEADER:
        raise _damaged(source, f"claims a header of {length} bytes; the format allows {LARGEST_HEADER}")
    if length > source.size - 8:
        raise BadInput(
            f"{source.name} ends inside its header (at {source.size} of {length + 8} bytes)",
            "the download broke off: resume it or start it again",
        )
    return length


_Claim = tuple[int, int, str, str, tuple[int, ...]]
"""Begin and end of a tensor's data, its name, its dtype, its shape."""


def _claim(source: ByteSource, name: str, row: Any) -> _Claim:
    match row:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(begin), int(end)]} if _counts(
            shape
        ):
            return begin, end, name, dtype, tuple(shape)
    raise _damaged(source, f"describes tensor '{shown(name)}' wrongly")


def _counts(shape: list[Any]) -> bool:
    sound = all(isinstance(length, int) and 0 <= length < 1 << 48 for length in shape)
    return sound and len(shape) <= 16 and prod(shape) < 1 << 63


def _tensors(source: ByteSource, claims: list[_Claim], data_bytes: int) -> Iterator[StoredTensor]:
    position = 0
    for begin, end, name, dtype, shape in claims:
        if begin != position or end < begin:
            raise _damaged(source, f"has tensor '{shown(name)}' overlap another, or a gap before it")
        bits = _BITS.get(dtype)
        if bits is None:
            raise BadInput(
                f"{source.name}: tensor '{shown(name)}' has the unknown dtype {shown(dtype)}",
                "update fitcheck",
            )
        if prod(shape) * bits != 8 * (end - begin):
            raise _damaged(source, f"gives tensor '{shown(name)}' {end - begin} bytes, unlike its shape")
        position = end
        yield StoredTensor(name, dtype, shape, end - begin)
    _check_end(source, position, data_bytes)


def _check_end(source: ByteSource, needed: int, data_bytes: int) -> None:
    if needed > data_bytes:
        raise BadInput(
            f"{source.name} is cut short: {needed - data_bytes} bytes"
            f" ({gb(needed - data_bytes)}) are missing",
            "resume the download, or start it again",
        )
    if needed < data_bytes:
        raise _damaged(source, f"has {data_bytes - needed} bytes that belong to no tensor")


def _damaged(source: ByteSource, what: str) -> BadInput:
    return BadInput(f"{source.name} {what}", "the file is damaged: download it again")
