"""Files of bytes from outside: opened only where regular, read through a bounded window.

Nothing here trusts what it reads. A name, a size or a count from a file is a
claim until the bytes behind it have been seen.
"""

import errno
import io
import os
import stat
import struct
from pathlib import Path
from typing import Protocol, Self

from fitcheck.errors import BadInput
from fitcheck.units import gb

FIRST_READ, LARGEST_READ = 1 << 18, 1 << 22
"""Bytes of the first and of the largest read. They double in between: a remote
header of 8 MB takes six requests, and a local one never holds more than 4 MiB."""

_AGAIN = "the download broke off or gave something else: download it again"
_ITSELF = "give the model file itself"
_OTHER = "give the model's .gguf or .safetensors file instead"
_LOGIN = "the download gave an error or a login page: open it in a text editor and see"
_CONFIG = "give the model file itself, or the directory that holds config.json"
_OLD = "no engine reads it any more: download the model as .gguf"
_FOREIGN = (
    (b"\x1f\x8b", "a gzip archive", "unpack it first: gunzip"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it first: zstd -d"),
    (b"\xfd7zXZ", "an xz archive", "unpack it first: xz -d"),
    (b"BZh", "a bzip2 archive", "unpack it first: bunzip2"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it first: 7z x"),
    (b"PK\x03\x04", "a zip archive or a PyTorch checkpoint", _OTHER),
    (b"\x80\x02", "a pickled PyTorch checkpoint", _OTHER),
    (b"\x7fELF", "a program (ELF)", _ITSELF),
    (b"MZ", "a Windows program", _ITSELF),
    (b"%PDF", "a PDF document", _ITSELF),
    (b"\x89PNG", "a PNG picture", _ITSELF),
    (b"lmgg", "a GGML file from before GGUF", _OLD),
    (b"fmgg", "a GGMF file from before GGUF", _OLD),
    (b"tjgg", "a GGJT file from before GGUF", _OLD),
    (b"GGUF", "a GGUF file", "give it with the ending .gguf"),
)
_SAFETENSORS = (b"", "a safetensors file", "give it with the ending .safetensors")
JSON_TEXT = "JSON text"
_TEXTS = (
    *((start, "a web page", _LOGIN) for start in (b"<!doctype", b"<html", b"<?xml", b"<head", b"<!--")),
    *((start, JSON_TEXT, _CONFIG) for start in (b"{", b"[")),
)
UNKNOWN = "something else"
_RIDDLE = (b"", UNKNOWN, "give a .gguf file, a .safetensors file or a directory with config.json")
_LFS = b"version https://git-lfs"


class ByteSource(Protocol):
    """Bytes of known size that can be read anywhere: a file, a URL, memory."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...

    def read(self, offset: int, count: int) -> bytes:
        """The bytes from ``offset``; fewer than ``count`` only at the end."""


def exists(path: Path) -> bool:
    """Whether something is there; a path that can't be looked up counts as nothing."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def is_directory(path: Path) -> bool:
    """Whether it is one that can be looked up."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        return False


class MemorySource:
    """Bytes that are already here, under a name for messages."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name, self.size, self._data = name, len(data), data

    def read(self, offset: int, count: int) -> bytes:
        return self._data[offset : offset + count]


class LocalFile:
    """A regular file on this machine. Raises BadInput for anything else."""

    def __init__(self, path: Path) -> None:
        self.name = shown(path.name or str(path))
        self._file = _open(path, self.name)
        self.size = os.fstat(self._file.fileno()).st_size

    def read(self, offset: int, count: int) -> bytes:
        try:
            self._file.seek(offset)
            return _read_fully(self._file, count)
        except OSError as error:
            raise _unreadable(self.name, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class Cursor:
    """Reads forward through a source and holds one window of it, never the whole."""

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self._window = b""
        self._base = 0  # where in the source the window begins
        self._at = 0  # the next byte, counted from the window's beginning
        self._step = FIRST_READ

    def tell(self) -> int:
        return self._base + self._at

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes. Raises BadInput where the source ends first."""
        if self._at + count > len(self._window):
            self._refill(self._at, count)
        start, self._at = self._at, self._at + count
        return self._window[start : self._at]

    def skip(self, count: int) -> None:
        """Passes over bytes without reading them."""
        if self.tell() + count > self.source.size:
            raise self.too_short()
        self._at += count

    def skip_prefixed(self, count: int, length: struct.Struct) -> None:
        """Passes over ``count`` strings, each behind its length, at some 80 ns a string."""
        while count:
            if self._at + length.size > len(self._window):
                self._refill(self._at, length.size)
            count = self._skip_in_window(count, length)
            self.skip(0)

    def _skip_in_window(self, count: int, length: struct.Struct) -> int:
        """Passes over strings whose lengths lie in the window; returns how many are left."""
        window, at, size, unpack = self._window, self._at, length.size, length.unpack_from
        left = 0
        try:
            for left in range(count, 0, -1):  # noqa: B007  counting here saves 20 ns a string
                at += size + unpack(window, at)[0]
        except (struct.error, OverflowError):
            self._at = at  # the next length lies beyond the window
            return left
        self._at = at
        return 0

    def _refill(self, at: int, need: int) -> None:
        """Moves the window so that it begins at ``at`` and holds ``need`` bytes."""
        begin = self._base + at
        if begin + need > self.source.size:
            raise self.too_short()
        window = self.source.read(begin, max(need, self._step))
        if len(window) < need:
            raise self.too_short()
        self._window, self._base, self._at = window, begin, 0
        self._step = min(2 * self._step, LARGEST_READ)

    def too_short(self) -> BadInput:
        return BadInput(
            f"{self.source.name} ends inside its header (at {self.source.size} bytes)",
            "the download broke off or the file is damaged: download it again",
        )


def shown(text: str, limit: int = 80) -> str:
    """Text from outside, safe on one line of a terminal: no control characters, no floods."""
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:limit])
    return safe if len(text) <= limit and len(safe) <= limit else safe[: limit - 1] + "…"


def foreign(source: ByteSource, wanted: str) -> BadInput:
    """Why a file that lacks the magic of ``wanted`` isn't one, as exactly as its first bytes tell."""
    what, remedy = recognise(source.read(0, 512))
    return BadInput(f"{source.name} is not {wanted} but {what}", remedy)


def recognise(head: bytes) -> tuple[str, str]:
    """What a file that begins so is, and what to do about it."""
    if head.startswith(_LFS):
        return f"a Git LFS pointer{_lfs_size(head)}", "fetch the model itself: git lfs pull"
    if not any(head):
        return "a run of zeros" if head else "an empty file", _AGAIN
    text = head.lstrip().lower()
    known = [row for row in _FOREIGN if head.startswith(row[0])]
    known += [_SAFETENSORS] * (head[5:9] == b"\0\0\0{")
    known += [row for row in _TEXTS if text.startswith(row[0])]
    _, what, remedy = next(iter(known), _RIDDLE)
    return what, remedy


def _lfs_size(head: bytes) -> str:
    """The size that a pointer names: `` to 42.51 GB``, or nothing."""
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        if key == b"size" and value.isdigit() and len(value) < 16:
            return f" to {gb(int(value))}"
    return ""


def _open(path: Path, name: str) -> io.FileIO:
    """Opens a regular file.

    Looks before it opens, since opening a device can act on it, and looks again
    at what it opened, since a path can change in between.
    """
    try:
        _require_regular(path.stat().st_mode, name)
        # O_NONBLOCK: a FIFO put there in between must not hang us.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        file = io.FileIO(os.open(path, flags), "rb")
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from None
    try:
        _require_regular(os.fstat(file.fileno()).st_mode, name)
    except BadInput:
        file.close()
        raise
    return file


def _require_regular(mode: int, name: str) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = {
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    what = kinds.get(stat.S_IFMT(mode), "no regular file")
    raise BadInput(f"{name} is {what}, where a model file is needed", "give the path of a file")


def _read_fully(file: io.FileIO, count: int) -> bytes:
    """``count`` bytes, or fewer at the end; a raw read may return less than is there."""
    first = file.read(count) or b""
    if len(first) == count or not first:
        return first
    chunks, missing = [first], count - len(first)
    while missing and (chunk := file.read(missing)):
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)


_REASONS = {
    errno.ENOENT: ("does not exist", "check the path"),
    errno.ENOTDIR: ("does not exist", "check the path"),
    errno.EACCES: ("can't be read: permission denied", "allow reading it: chmod +r, or run as its owner"),
    errno.EPERM: ("can't be read: permission denied", "allow reading it: chmod +r, or run as its owner"),
    errno.ELOOP: ("is a symbolic link that leads back to itself", "give the real file"),
    errno.ENAMETOOLONG: ("is too long for a path", "check the path"),
    errno.EIO: ("can't be read: the disk reports an error", "check the disk, or copy the file elsewhere"),
}


def _unreadable(name: str, error: OSError | ValueError) -> BadInput:
    code = error.errno if isinstance(error, OSError) else None
    reason, remedy = _REASONS.get(code or 0, (f"can't be read: {shown(str(error))}", "check the path"))
    return BadInput(f"{name} {reason}", remedy)
