"""From a tensor table's claims to tensors: types by number, bytes by type, places in the file.

bitnet.cpp took the type numbers 36 to 39 before upstream gave 39 to MXFP4, so a
number alone doesn't name a type. The distance to the next tensor does: both
readings predict it, and a wrong one is off by tens of percent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from fitcheck.errors import BadInput
from fitcheck.footprint.formats import WeightType
from fitcheck.sources.binary_file import ByteSource, shown
from fitcheck.sources.gguf_header import Header, TensorClaim, Value
from fitcheck.sources.gguf_types import BITNET_FILE_TYPES, CONTESTED, DIALECTS, REMOVED, size_of
from fitcheck.units import gb

DEFAULT_ALIGNMENT = 32
LARGEST_SIZE = 1 << 50
"""No file is larger than a petabyte: an offset beyond is damage, not a download cut short."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor whose bytes are known to lie within its file."""

    name: str
    type: str
    shape: tuple[int, ...]  # columns first
    bytes: int
    offset: int  # in its file

    @property
    def weights(self) -> int:
        return prod(self.shape)


def read_layout(source: ByteSource, header: Header) -> tuple[tuple[Tensor, ...], tuple[str, ...]]:
    """The tensors in the file's order, and notes. Raises BadInput where claims and bytes disagree."""
    alignment = _alignment(source.name, header.metadata)
    start = -(-header.end // alignment) * alignment
    for claim in header.claims:
        _check_shape(source.name, claim)
    dialect, notes = _dialect(header, source.size - start, alignment)
    tensors = tuple(_tensor(source.name, claim, DIALECTS[dialect], start) for claim in header.claims)
    _check_places(source, tensors, alignment)
    return tensors, (*notes, *_gaps(tensors, start, alignment))


def _alignment(name: str, metadata: Mapping[str, Value]) -> int:
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment not in (1 << bit for bit in range(17)):
        raise _damaged(f"{name} aligns its tensors to {shown(str(alignment))}, which is no power of two")
    return alignment


def _check_shape(name: str, claim: TensorClaim) -> None:
    if 0 in claim.shape:
        raise _damaged(f"{name}: tensor '{shown(claim.name)}' has a dimension of zero")
    if prod(claim.shape) >= 1 << 63:
        raise _damaged(f"{name}: tensor '{shown(claim.name)}' claims {prod(claim.shape)} weights")


def _tensor(name: str, claim: TensorClaim, types: Mapping[int, WeightType], start: int) -> Tensor:
    kind = types.get(claim.type_id)
    if kind is None:
        raise _unknown_type(name, claim)
    size = size_of(kind, claim.shape)
    if size is None:
        raise _damaged(
            f"{name}: tensor '{shown(claim.name)}' has {claim.shape[0] if claim.shape else 1} columns,"
            f" which {kind.name} can't hold (blocks of {kind.block_weights})"
        )
    return Tensor(claim.name, kind.name, claim.shape, size, start + claim.offset)


def _unknown_type(name: str, claim: TensorClaim) -> BadInput:
    if claim.type_id in REMOVED:
        return BadInput(
            f"{name} holds tensors of type {REMOVED[claim.type_id]}, which engines have dropped",
            "download the model in a current format",
        )
    return BadInput(
        f"{name}: tensor '{shown(claim.name)}' has the unknown type {claim.type_id}",
        "update fitcheck, or download the file again if it may be damaged",
    )


def _check_places(source: ByteSource, tensors: Sequence[Tensor], alignment: int) -> None:
    end = 0
    for tensor in sorted(tensors, key=lambda tensor: tensor.offset):
        if tensor.offset % alignment:
            raise _damaged(f"{source.name}: tensor '{shown(tensor.name)}' isn't aligned to {alignment} bytes")
        if tensor.offset < end:
            raise _damaged(f"{source.name}: tensor '{shown(tensor.name)}' overlaps the tensor before it")
        end = tensor.offset + tensor.bytes
    if end > source.size:
        raise _too_long(source, end)


def _too_long(source: ByteSource, end: int) -> BadInput:
    if end > LARGEST_SIZE:
        return _damaged(f"{source.name} claims tensors up to byte {end}, and has {source.size}")
    return BadInput(
        f"{source.name} is cut short: its header describes {gb(end)}, and {end - source.size} bytes"
        f" ({gb(end - source.size)}) of them are missing",
        "resume the download, or start it again",
    )


def _dialect(header: Header, data_bytes: int, alignment: int) -> tuple[str, tuple[str, ...]]:
    """Whose numbers the file uses, and a note where they aren't plainly upstream's."""
    numbers = sorted({claim.type_id for claim in header.claims} & CONTESTED)
    if not numbers:
        return "ggml", ()
    room = _room(header.claims, data_bytes, alignment)
    fitting = [name for name, types in DIALECTS.items() if _fits(types, room)]
    if fitting == ["ggml"]:
        return "ggml", ()
    chosen = fitting[0] if len(fitting) == 1 else _expected(header.metadata, numbers)
    reason = "by the space between tensors" if len(fitting) == 1 else "by architecture and file type"
    taken = ", ".join(f"{number} as {DIALECTS[chosen][number].name}" for number in numbers)
    return chosen, (f"type numbers 36 to 39 mean two things; took {taken} ({chosen}'s), {reason}",)


def _room(claims: Sequence[TensorClaim], data_bytes: int, alignment: int) -> list[tuple[TensorClaim, range]]:
    """Each contested tensor beside the sizes it can have: up to the next tensor, less its padding.

    The last tensor counts only where it is the only one: a download cut short
    must still be read as what it is.
    """
    ordered = sorted(claims, key=lambda claim: claim.offset)
    ends = [claim.offset for claim in ordered[1:]] or [data_bytes]
    return [
        (claim, range(end - claim.offset - alignment + 1, end - claim.offset + 1))
        for claim, end in zip(ordered, ends, strict=False)
        if claim.type_id in CONTESTED
    ]


def _fits(types: Mapping[int, WeightType], room: list[tuple[TensorClaim, range]]) -> bool:
    return all(size_of(types[claim.type_id], claim.shape) in sizes for claim, sizes in room)


def _expected(metadata: Mapping[str, Value], numbers: Sequence[int]) -> str:
    """Whose file it is by what it says of itself."""
    architecture = str(metadata.get("general.architecture", "")).lower()
    file_type = metadata.get("general.file_type")
    own_file_type = any(BITNET_FILE_TYPES[number] == file_type for number in numbers)
    return "bitnet.cpp" if "bitnet" in architecture or own_file_type else "ggml"


def _gaps(tensors: Sequence[Tensor], start: int, alignment: int) -> tuple[str, ...]:
    """llama.cpp refuses a file whose tensors don't follow one another without gaps (gguf.cpp)."""
    expected = start
    for tensor in tensors:
        if tensor.offset != expected:
            return ("its tensors don't follow one another without gaps: llama.cpp refuses such a file",)
        expected += -(-tensor.bytes // alignment) * alignment
    return ()


def _damaged(message: str) -> BadInput:
    return BadInput(message, "the file is damaged: download it again")
