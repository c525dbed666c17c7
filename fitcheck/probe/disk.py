"""The rate at which this machine's disk is read: remembered, or measured and kept.

A plan only remembers. What is measured is a file in the cache directory; where
that lies on another device than the current directory, whose files a plan is
about, the figure is not this storage's and is not given to it.
"""

import os
import time
from dataclasses import replace

from fitcheck.bench.disk import measure_disk_read
from fitcheck.probe.cache import DiskRate, cache_directory, remember_disk
from fitcheck.probe.files import Files
from fitcheck.probe.storage import read_storage
from fitcheck.schema.machine import Machine, Storage

_OLD_DAYS = 180
_ELSEWHERE = "the disk was not measured: the cache directory lies on {}, not on {}"
_HOST = "the disk is virtual: its host may have read it from memory, and a larger file is slower then"


def remembered_disk(machine: Machine, known: DiskRate | None) -> Machine:
    """With the rate that was measured of its storage, if it was."""
    storage = machine.storage
    if storage is None or known is None or known.device != storage.device:
        return machine
    return _noted(_with_rate(machine, storage, known.bytes_per_s), _age(known.taken_at))


def with_disk(machine: Machine, *, fresh: bool) -> Machine:
    """With the rate measured now, where it isn't known or ``fresh``; a note where it can't be."""
    storage = machine.storage
    if storage is None or storage.kind == "ram" or (storage.read_bytes_per_s and not fresh):
        return machine
    directory = cache_directory()
    beneath = _storage_of(directory)
    if beneath is None or beneath.device != storage.device:
        where = beneath.device if beneath else "an unknown device"
        return _noted(machine, _ELSEWHERE.format(where, storage.device))
    found = measure_disk_read(directory)
    if found.bytes_per_s is None:
        return _noted(machine, found.note)
    note = remember_disk(machine, storage.device, found.bytes_per_s)
    measured = _with_rate(machine, storage, found.bytes_per_s)
    return _noted(measured, note, _HOST if storage.kind == "virtual" else None)


def _storage_of(directory: str) -> Storage | None:
    """What the directory lies on, or the nearest above it that there is."""
    while directory and not os.path.isdir(directory):  # noqa: PTH112
        directory = os.path.dirname(directory)  # noqa: PTH120
    number = os.stat(directory or "/").st_dev  # noqa: PTH116
    return read_storage(Files(), (os.major(number), os.minor(number)))


def _with_rate(machine: Machine, storage: Storage, bytes_per_s: float) -> Machine:
    return replace(machine, storage=replace(storage, read_bytes_per_s=bytes_per_s))


def _age(taken_at: float | None) -> str | None:
    days = 0 if taken_at is None else int((time.time() - taken_at) / 86400)
    return f"the disk was measured {days} days ago; --fresh measures again" if days >= _OLD_DAYS else None


def _noted(machine: Machine, *notes: str | None) -> Machine:
    return replace(machine, notes=(*machine.notes, *(note for note in notes if note)))
