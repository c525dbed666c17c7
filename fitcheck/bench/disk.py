"""What a disk's files are read at: a file of our own, written, dropped from memory, and read again.

O_DIRECT goes past the page cache both ways; where a file system has none, the
pages are given up with POSIX_FADV_DONTNEED before they are read. The file has
no name while it is used, so that nothing is left behind however we end. Its
blocks are random: a file system that compresses gains nothing.
"""

import mmap
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from fitcheck.units import MIB

FILE_BYTES = 256 * MIB
_BLOCK = 4 * MIB  # a request long enough that its start doesn't count
_LEAST = 4 * _BLOCK
_BUDGET_S = 0.8  # to write, and again to read: a slow disk is told by less of the file
_ROOM = 4  # times the file: measuring must not fill a disk


class DiskRead(NamedTuple):
    """The rate of reads, or why there is none."""

    bytes_per_s: float | None
    note: str | None = None


def measure_disk_read(directory: str, file_bytes: int = FILE_BYTES, budget_s: float = _BUDGET_S) -> DiskRead:
    """Bytes per second of sequential reads of a file in ``directory``, in under two seconds; never raises."""
    if not hasattr(os, "posix_fadvise"):
        return DiskRead(None, "the disk's speed is measured on Linux only: say --disk")
    try:
        os.makedirs(directory, exist_ok=True)  # noqa: PTH103
        room = os.statvfs(directory)
        if room.f_bavail * room.f_frsize < _ROOM * file_bytes:
            return DiskRead(None, f"the disk was not measured: {directory} is nearly full")
        with _nameless(directory) as (descriptor, direct):
            written = _write(descriptor, file_bytes, budget_s)
            if not direct:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            return _read(descriptor, written, budget_s)
    except OSError as error:
        return DiskRead(None, f"the disk was not measured in {directory}: {error.strerror}")


@contextmanager
def _nameless(directory: str) -> Iterator[tuple[int, bool]]:
    """A new file without a name, and whether reads and writes go past the page cache."""
    path, create = f"{directory}/disk-{os.getpid()}", os.O_RDWR | os.O_CREAT | os.O_EXCL
    descriptor, direct = _open(path, create)
    try:
        os.unlink(path)  # noqa: PTH108
        yield descriptor, direct
    finally:
        os.close(descriptor)


def _open(path: str, flags: int) -> tuple[int, bool]:
    if hasattr(os, "O_DIRECT"):
        try:
            return os.open(path, flags | os.O_DIRECT, 0o600), True
        except OSError:  # the file may have been made before the flag was refused
            flags &= ~os.O_EXCL
    return os.open(path, flags, 0o600), False


def _write(descriptor: int, most: int, budget_s: float) -> int:
    """Random blocks until the file or the time is full; they are on the disk when it returns."""
    block, end, written = mmap.mmap(-1, _BLOCK), time.monotonic() + budget_s, 0
    block.write(os.urandom(_BLOCK))
    while written < most and (written < _LEAST or time.monotonic() < end):
        written += os.writev(descriptor, [block])
    os.fsync(descriptor)
    return written


def _read(descriptor: int, written: int, budget_s: float) -> DiskRead:
    """The file from its start, until its end or that of the time. The first block only wakes the disk."""
    block, begin, done = mmap.mmap(-1, _BLOCK), 0.0, 0
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.readv(descriptor, [block])
    begin = now = time.monotonic()
    while done < written - _BLOCK and (now < begin + budget_s or not done):
        done += os.readv(descriptor, [block])
        now = time.monotonic()
    return DiskRead(done / (now - begin)) if done and now > begin else DiskRead(None, "the disk told nothing")
