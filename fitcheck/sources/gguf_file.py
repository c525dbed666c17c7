"""GGUF files: their header and tensor table, every part of a split model, checked against the bytes.

Only the header is read, so a file of 100 GB takes milliseconds. What a
GgufFile says of bytes is exact: each tensor lies whole within its file.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from fitcheck.errors import BadInput
from fitcheck.sources.binary_file import ByteSource, LocalFile, MemorySource, exists, shown
from fitcheck.sources.gguf_header import ByteOrder, Header, Value, read_header
from fitcheck.sources.gguf_layout import Tensor, read_layout

_PART = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE | re.DOTALL)
_AGAIN = "download the parts again, all from the same place"


@dataclass(frozen=True, slots=True)
class GgufFile:
    """A model as its GGUF file, or its parts together, describe it."""

    name: str
    version: int
    byte_order: ByteOrder
    metadata: Mapping[str, Value]  # of the first part, which carries the model's
    tensors: tuple[Tensor, ...]
    file_bytes: int  # all parts, headers and padding included
    parts: int
    notes: tuple[str, ...]  # what was decided in reading, and what an engine will mind


def read_gguf(path: Path) -> GgufFile:
    """A model from a file, or from all parts of a split one if given any of them.

    Raises BadInput, with one line and a remedy, for whatever can't be used.
    """
    names = part_names(path.name)
    missing = [name for name in names if not exists(path.with_name(name))]
    if missing and exists(path):
        raise _missing(missing, len(names))
    return join(path.name, [_read_local(path.with_name(name)) for name in names])


def read_gguf_from(source: ByteSource) -> GgufFile:
    """A model from bytes that are no local file. Raises BadInput as ``read_gguf`` does."""
    return join(source.name, [read_part(source)])


def parse_gguf(data: bytes, name: str = "model.gguf") -> GgufFile:
    """A model from bytes in memory. Raises BadInput as ``read_gguf`` does."""
    return read_gguf_from(MemorySource(name, data))


def part_names(name: str) -> list[str]:
    """The names of all parts of a split model, given any; a file that isn't split is its only part."""
    match = _PART.fullmatch(name)
    if match is None:
        return [name]
    number, count = int(match["number"]), int(match["count"])
    if not 1 <= number <= count:
        raise BadInput(f"{shown(name)} is part {number} of {count}", "rename it as it was published")
    return [f"{match['stem']}-{part:05}-of-{match['count']}{name[-5:]}" for part in range(1, count + 1)]


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a model, its tensors checked."""

    name: str
    header: Header
    tensors: tuple[Tensor, ...]
    size: int
    notes: tuple[str, ...]


def read_part(source: ByteSource) -> Part:
    header = read_header(source)
    tensors, notes = read_layout(source, header)
    return Part(source.name, header, tensors, source.size, notes)


def _read_local(path: Path) -> Part:
    with LocalFile(path) as source:
        return read_part(source)


def join(name: str, parts: list[Part]) -> GgufFile:
    """The model that the parts make up. Raises BadInput where they don't belong together."""
    first = parts[0].header
    for index, part in enumerate(parts):
        _check_place(part, index, len(parts))
    tensors = tuple(tensor for part in parts for tensor in part.tensors)
    _check_whole(shown(name), first.metadata, tensors)
    return GgufFile(
        name=shown(name),
        version=first.version,
        byte_order=first.byte_order,
        metadata=MappingProxyType(first.metadata),
        tensors=tensors,
        file_bytes=sum(part.size for part in parts),
        parts=len(parts),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _check_place(part: Part, index: int, count: int) -> None:
    """A part's own header says which it is; a name can be wrong."""
    metadata = part.header.metadata
    claimed, total = metadata.get("split.no", 0), metadata.get("split.count", 0)
    if total in (0, 1) and count == 1:
        return
    if count == 1:
        raise BadInput(
            f"{part.name} is one part of a model split in {shown(str(total))}, and its name doesn't say so",
            "name the parts NAME-00001-of-0000N.gguf as they were published, and keep them together",
        )
    if (claimed, total) != (index, count):
        raise BadInput(
            f"{part.name} calls itself part {_ordinal(claimed)} of {shown(str(total))} in its header",
            _AGAIN,
        )


def _ordinal(index: Value) -> str:
    return shown(str(index + 1 if isinstance(index, int) else index))


def _check_whole(name: str, metadata: Mapping[str, Value], tensors: tuple[Tensor, ...]) -> None:
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise BadInput(f"two parts of {name} hold the same tensor", _AGAIN)
    claimed = metadata.get("split.tensors.count", len(tensors))
    if claimed != len(tensors):
        raise BadInput(
            f"the parts of {name} hold {len(tensors)} tensors, and the first says {claimed}",
            _AGAIN,
        )


def _missing(names: list[str], count: int) -> BadInput:
    listed = ", ".join(map(shown, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return BadInput(
        f"{len(names)} of {count} parts of the model are missing: {listed}",
        "download them into the same directory",
    )
