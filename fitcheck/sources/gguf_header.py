"""A GGUF header as it is written: metadata and tensor table, in bounded time and memory.

The layout is the one of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3.
"""

import struct
from dataclasses import dataclass
from typing import Literal

from fitcheck.errors import BadInput
from fitcheck.sources.binary_file import ByteSource, Cursor, foreign, shown

MAGIC = b"GGUF"

# Real files stay far below these; a header that claims more is lying, and would cost time to disprove.
MOST_KEYS, MOST_TENSORS = 1 << 16, 1 << 16  # unmerged experts come to 47 000 tensors (DeepSeek V3)
MOST_STRINGS = 1 << 22  # Gemma's vocabulary and merges are 0.8 million
LONGEST_NAME, LONGEST_TEXT = 1 << 8, 1 << 20  # a chat template has 20 kB
KEPT_ELEMENTS, KEPT_STRINGS = 1 << 12, 1 << 6  # arrays by layer are kept, vocabularies are not
KEPT_BYTES = 1 << 24
MOST_DIMENSIONS = 4

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True, slots=True)
class Skipped:
    """A value too large to keep: an array's length, or a text's length in bytes."""

    count: int


Scalar = int | float | bool | str
Value = Scalar | tuple[Scalar, ...] | Skipped
ByteOrder = Literal["little", "big"]


@dataclass(frozen=True, slots=True)
class TensorClaim:
    """A row of the tensor table, unchecked: what the file says of a tensor."""

    name: str
    shape: tuple[int, ...]  # columns first
    type_id: int
    offset: int  # from the beginning of the tensor data


@dataclass(frozen=True, slots=True)
class Header:
    version: int
    byte_order: ByteOrder
    metadata: dict[str, Value]
    claims: tuple[TensorClaim, ...]
    end: int  # the first byte after the tensor table


def read_header(source: ByteSource) -> Header:
    """Metadata and tensor table. Raises BadInput for whatever isn't a sound GGUF header."""
    cursor = Cursor(source)
    if source.read(0, 4) != MAGIC:
        raise foreign(source, "a GGUF file")
    cursor.skip(4)
    version, byte_order = _version(cursor)
    reader = _Reader(cursor, "<" if byte_order == "little" else ">")
    tensors = reader.count("tensors", MOST_TENSORS)
    keys = reader.count("metadata keys", MOST_KEYS)
    metadata = reader.metadata(keys)
    claims = reader.tensors(tensors)
    return Header(version, byte_order, metadata, claims, cursor.tell())


def _version(cursor: Cursor) -> tuple[int, ByteOrder]:
    raw = cursor.take(4)
    little, big = int.from_bytes(raw, "little"), int.from_bytes(raw, "big")
    version, order = (little, "little") if little <= big else (big, "big")
    if version in (2, 3):
        return version, "little" if order == "little" else "big"
    if version == 1:
        raise BadInput(
            f"{cursor.source.name} is a GGUF file of version 1",
            "no engine reads it any more: download the model again, or convert it anew",
        )
    raise BadInput(
        f"{cursor.source.name} is a GGUF file of version {version}, and fitcheck knows versions 2 and 3",
        "update fitcheck, or download the file again if it may be damaged",
    )


class _Reader:
    """Reads GGUF's primitives in the file's byte order."""

    def __init__(self, cursor: Cursor, order: str) -> None:
        self._cursor = cursor
        self._u32 = struct.Struct(order + "I")
        self._u64 = struct.Struct(order + "Q")
        self._order = order
        self._strings_left = MOST_STRINGS
        self._kept_left = KEPT_BYTES

    def u32(self) -> int:
        value: int = self._u32.unpack(self._cursor.take(4))[0]
        return value

    def u64(self) -> int:
        value: int = self._u64.unpack(self._cursor.take(8))[0]
        return value

    def count(self, what: str, most: int) -> int:
        claimed = self.u64()
        if claimed > most:
            raise self.bad(f"claims {claimed} {what}, more than any model has")
        return claimed

    def metadata(self, keys: int) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for _ in range(keys):
            key = self.name("a metadata key")
            if key in values:
                raise self.bad(f"has the metadata key '{shown(key)}' twice")
            values[key] = self.value(key)
        return values

    def tensors(self, count: int) -> tuple[TensorClaim, ...]:
        claims: dict[str, TensorClaim] = {}
        for _ in range(count):
            claim = self.tensor()
            if claim.name in claims:
                raise self.bad(f"has two tensors called '{shown(claim.name)}'")
            claims[claim.name] = claim
        return tuple(claims.values())

    def tensor(self) -> TensorClaim:
        name = self.name("a tensor's name")
        dimensions = self.u32()
        if dimensions > MOST_DIMENSIONS:
            raise self.bad(f"gives tensor '{shown(name)}' {dimensions} dimensions; four is the most")
        shape = struct.unpack(f"{self._order}{dimensions}Q", self._cursor.take(8 * dimensions))
        return TensorClaim(name, shape, self.u32(), self.u64())

    def name(self, what: str) -> str:
        length = self.u64()
        if not 0 < length <= LONGEST_NAME:
            raise self.bad(f"has {what} of {length} bytes")
        return self._cursor.take(length).decode("utf-8", "replace")

    def value(self, key: str) -> Value:
        kind = self.u32()
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self.array(key)
        return self.scalars(key, kind, 1)[0]

    def text(self) -> str | Skipped:
        length = self.u64()
        if length > min(LONGEST_TEXT, self._kept_left):
            self._cursor.skip(length)
            return Skipped(length)
        self._kept_left -= length
        return self._cursor.take(length).decode("utf-8", "replace")

    def array(self, key: str) -> Value:
        kind, count = self.u32(), self.u64()
        if kind == _STRING:
            return self.texts(count)
        size = struct.calcsize(self.code(key, kind))
        if count > KEPT_ELEMENTS or size * count > self._kept_left:
            self._cursor.skip(size * count)
            return Skipped(count)
        self._kept_left -= size * count
        return self.scalars(key, kind, count)

    def scalars(self, key: str, kind: int, count: int) -> tuple[Scalar, ...]:
        format_ = f"{self._order}{count}{self.code(key, kind)}"
        return struct.unpack(format_, self._cursor.take(struct.calcsize(format_)))

    def code(self, key: str, kind: int) -> str:
        if kind not in _SCALARS:
            raise self.bad(f"gives '{shown(key)}' the unknown value type {kind}")
        return _SCALARS[kind]

    def texts(self, count: int) -> tuple[str, ...] | Skipped:
        """Strings carry their own lengths, so that even those nobody wants are walked through."""
        if count > self._strings_left:
            raise self.bad(f"claims {count} strings in a list, more than any vocabulary has")
        self._strings_left -= count
        if count > KEPT_STRINGS:
            self._cursor.skip_prefixed(count, self._u64)
            return Skipped(count)
        texts = [self.text() for _ in range(count)]
        kept = tuple(text for text in texts if isinstance(text, str))
        return kept if len(kept) == count else Skipped(count)

    def bad(self, what: str) -> BadInput:
        return BadInput(f"{self._cursor.source.name} {what}", "the file is damaged: download it again")
