"""GGUF files made for tests: byte by byte where they must lie, sparse where they must be large.

Files that only have to be right are written with the ``gguf`` package instead,
so that the reader is held to somebody else's idea of the format.
"""

import os
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fitcheck.sources.binary_file import LocalFile, MemorySource

TEXT, ARRAY = 8, 9
CODES = {
    "u8": 0,
    "i8": 1,
    "u16": 2,
    "i16": 3,
    "u32": 4,
    "i32": 5,
    "f32": 6,
    "bool": 7,
    "u64": 10,
    "i64": 11,
    "f64": 12,
}
FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


@dataclass
class Draft:
    """A GGUF file as it will be written. Counts and offsets can be made to lie."""

    metadata: dict[str, object] = field(default_factory=lambda: {"general.architecture": "llama"})
    tensors: list[tuple[str, tuple[int, ...], int, int]] = field(
        default_factory=list
    )  # name, shape, type, bytes
    version: int = 3
    order: str = "<"
    alignment: int = 32
    magic: bytes = b"GGUF"
    tensor_count: int | None = None
    key_count: int | None = None
    offsets: dict[str, int] = field(default_factory=dict)
    raw_metadata: bytes = b""

    def add(self, name: str, shape: tuple[int, ...], type_id: int, size: int) -> "Draft":
        self.tensors.append((name, shape, type_id, size))
        return self

    def header(self) -> bytes:
        keys = len(self.metadata) if self.key_count is None else self.key_count
        tensors = len(self.tensors) if self.tensor_count is None else self.tensor_count
        parts = [self.magic, self.pack("I", self.version), self.pack("QQ", tensors, keys)]
        parts += [self.text(key) + self.value(value) for key, value in self.metadata.items()]
        parts += [self.raw_metadata, *self.table()]
        return b"".join(parts)

    def table(self) -> list[bytes]:
        rows, offset = [], 0
        for name, shape, type_id, size in self.tensors:
            at = self.offsets.get(name, offset)
            rows.append(self.text(name) + self.pack(f"I{len(shape)}QIQ", len(shape), *shape, type_id, at))
            offset = at + -(-size // self.alignment) * self.alignment
        return rows

    @property
    def size(self) -> int:
        """Bytes of the whole file, the last tensor's padding included."""
        header = len(self.header())
        data = sum(-(-size // self.alignment) * self.alignment for *_, size in self.tensors)
        return -(-header // self.alignment) * self.alignment + data

    def bytes(self) -> bytes:
        return self.header().ljust(self.size, b"\0")

    def write(self, path: Path) -> Path:
        """A sparse file: the data costs no disk."""
        path.write_bytes(self.header())
        with path.open("r+b") as file:
            file.truncate(self.size)
        return path

    def pack(self, format_: str, *values: object) -> bytes:
        return struct.pack(self.order + format_, *values)

    def text(self, text: str) -> bytes:
        raw = text.encode()
        return self.pack("Q", len(raw)) + raw

    def value(self, value: object) -> bytes:
        """A value with its type; ``("u8", 3)`` and ``("u8", [3])`` say which."""
        if isinstance(value, tuple):
            kind, value = CODES[value[0]], value[1]
        else:
            kind = self.kind(value[0] if isinstance(value, list) else value)
        if isinstance(value, list):
            return self.pack("IIQ", ARRAY, kind, len(value)) + b"".join(
                self.plain(kind, item) for item in value
            )
        return self.pack("I", kind) + self.plain(kind, value)

    @staticmethod
    def kind(value: object) -> int:
        if isinstance(value, str):
            return TEXT
        if isinstance(value, bool):
            return CODES["bool"]
        if isinstance(value, float):
            return CODES["f32"]
        return CODES["u32"] if value >= 0 else CODES["i32"]

    def plain(self, kind: int, value: object) -> bytes:
        return self.text(value) if kind == TEXT else self.pack(FORMATS[kind], value)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def nobody() -> Iterator[None]:
    """Gives up root's right to read everything, where the tests run as root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.fixture(scope="session")
def unprivileged() -> Callable[[], AbstractContextManager[None]]:
    return nobody


class BytesRead:
    """How much is read of local files and of memory: what a header costs, on however busy a machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.total = self.most = self.calls = 0
        for source in (LocalFile, MemorySource):
            monkeypatch.setattr(source, "read", self._counted(source.read))

    def _counted(self, read):
        def counting(source, offset: int, count: int) -> bytes:
            data = read(source, offset, count)
            self.calls += 1
            self.total += len(data)
            self.most = max(self.most, len(data))
            return data

        return counting


@pytest.fixture
def bytes_read(monkeypatch: pytest.MonkeyPatch) -> BytesRead:
    return BytesRead(monkeypatch)


@pytest.fixture(scope="session")
def draft() -> type[Draft]:
    return Draft


@pytest.fixture(scope="session")
def tiny() -> bytes:
    """A sound model of one layer in 3 kB."""
    return tiny_draft().bytes()


@pytest.fixture(scope="session")
def tiny_llama():
    return tiny_draft


def tiny_draft(**changes: object) -> Draft:
    """One layer of 8 elements with F32 weights, and what a reader asks of it."""
    made = Draft(
        metadata={
            "general.architecture": "llama",
            "general.name": "Tiny",
            "general.file_type": 0,
            "llama.block_count": 1,
            "llama.context_length": 64,
            "llama.embedding_length": 8,
            "llama.feed_forward_length": 16,
            "llama.attention.head_count": 2,
            "llama.attention.head_count_kv": 1,
            "tokenizer.ggml.tokens": ["<s>", "a", "ü"],
            "tokenizer.ggml.scores": [0.0, -1.0, -2.0],
        },
        **changes,
    )
    shapes = {
        "token_embd.weight": (8, 3),
        "blk.0.attn_norm.weight": (8,),
        "blk.0.attn_q.weight": (8, 8),
        "blk.0.attn_k.weight": (8, 4),
        "blk.0.attn_v.weight": (8, 4),
        "blk.0.attn_output.weight": (8, 8),
        "blk.0.ffn_norm.weight": (8,),
        "blk.0.ffn_gate.weight": (8, 16),
        "blk.0.ffn_up.weight": (8, 16),
        "blk.0.ffn_down.weight": (16, 8),
        "output_norm.weight": (8,),
        "output.weight": (8, 3),
    }
    for name, shape in shapes.items():
        elements = shape[0] * (shape[1] if len(shape) > 1 else 1)
        made.add(name, shape, 0, 4 * elements)
    return made
