"""What was measured on this machine, kept between runs in the user's cache directory.

A figure is kept until it is measured again (``--fresh``): memory doesn't age,
and the key changes with whatever would change the figure. Its time stands
beside it, so that a face can say how old it is. A file that is broken, foreign
or of another version is ignored and rewritten; a directory that can't be
written costs a note, never an error.
"""

import json
import math
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple, TypeVar

from fitcheck import __version__
from fitcheck.schema.machine import Gpu, KernelRate, Machine, ReadBandwidth
from fitcheck.sources.user_directories import user_directory
from fitcheck.units import GIB

SCHEMA = "fitcheck.cache/1"

_LONGEST = 1 << 20
_Row = TypeVar("_Row")
_Build = Callable[[dict[str, Any]], _Row | None]


class DiskRate(NamedTuple):
    """What a device was read at, and when."""

    device: str
    bytes_per_s: float
    taken_at: float | None = None


class Remembered(NamedTuple):
    """What the cache holds for a machine; empty where it holds nothing."""

    read_bandwidth: tuple[ReadBandwidth, ...] = ()
    read_bandwidth_taken_at: float | None = None  # seconds since 1970
    kernel_rates: tuple[KernelRate, ...] = ()
    kernel_rates_taken_at: float | None = None
    gpus: tuple[Gpu, ...] = ()
    gpus_fingerprint: str | None = None  # what the driver listed when they were read
    gpus_unified: bool = False
    disk: DiskRate | None = None


def cache_directory(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> str:
    """The user's cache directory for fitcheck; it may not exist yet."""
    return user_directory("cache", environment, platform)


def recall(machine: Machine, directory: str | None = None) -> Remembered:
    """What was remembered of this machine. Never raises: what can't be trusted is not there."""
    saved = _load(_path(machine, directory))
    if saved.get("key") != machine_key(machine):
        return Remembered()
    gpus = _section(saved, "gpus")
    return Remembered(
        _rows(saved, "read_bandwidth", _read_bandwidth),
        _taken_at(saved, "read_bandwidth"),
        _rows(saved, "kernel_rates", _kernel_rate),
        _taken_at(saved, "kernel_rates"),
        _rows(saved, "gpus", _gpu),
        gpus["fingerprint"] if isinstance(gpus.get("fingerprint"), str) else None,
        gpus.get("unified") is True,
        _disk(_section(saved, "disk")),
    )


def remember(
    machine: Machine,
    *,
    read_bandwidth: Iterable[ReadBandwidth] | None = None,
    kernel_rates: Iterable[KernelRate] | None = None,
    directory: str | None = None,
) -> str | None:
    """Keep what was measured beside what is already known of this machine.

    Returns a note for the user where the cache can't be written, else None.
    """
    sections: dict[str, Any] = {}
    if read_bandwidth is not None:
        sections["read_bandwidth"] = _dated(read_bandwidth)
    if kernel_rates is not None:
        sections["kernel_rates"] = _dated(kernel_rates)
    return _update(machine, sections, directory)


def remember_gpus(
    machine: Machine, gpus: Iterable[Gpu], unified: bool, fingerprint: str, directory: str | None = None
) -> str | None:
    """Keep the driver's answer for as long as ``fingerprint`` stays the same."""
    section = {**_dated(gpus), "fingerprint": fingerprint, "unified": unified}
    return _update(machine, {"gpus": section}, directory)


def remember_disk(
    machine: Machine, device: str, bytes_per_s: float, directory: str | None = None
) -> str | None:
    """Keep what reads of the device were measured at."""
    section = {"taken_at": time.time(), "device": device, "bytes_per_s": bytes_per_s}
    return _update(machine, {"disk": section}, directory)


def machine_key(machine: Machine) -> dict[str, Any]:
    """All that would change a measured figure: another of these is another machine.

    RAM counts in whole GiB, since a new kernel may keep a few MiB more for itself.
    """
    return {
        "version": __version__,  # the C extension's too: other code reads otherwise
        "cpu": machine.cpu,
        "threads": machine.threads,
        "affinity": _affinity(),
        "ram_gib": None if machine.ram_bytes is None else round(machine.ram_bytes / GIB),
        "transfers_per_s": machine.memory.transfers_per_s if machine.memory else None,
        "channels": machine.memory.channels if machine.memory else None,
        "simd": list(machine.simd),
    }


def _affinity() -> list[int] | None:
    """The CPUs we may run on, where the system tells: another choice may read otherwise."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _path(machine: Machine, directory: str | None) -> str:
    """One file a machine, since homes are shared. A collision of names only costs a measurement."""
    name = zlib.crc32(json.dumps(machine_key(machine), sort_keys=True).encode())
    return f"{directory or cache_directory()}/machine-{name:08x}.json"


def _load(path: str) -> dict[str, Any]:
    """The file's object where it is one of ours, else an empty one."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            saved = json.loads(file.read(_LONGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return saved if isinstance(saved, dict) and saved.get("schema") == SCHEMA else {}


def _update(machine: Machine, sections: dict[str, Any], directory: str | None) -> str | None:
    path, key = _path(machine, directory), machine_key(machine)
    saved = _load(path)
    kept = saved if saved.get("key") == key else {}
    try:
        _write(path, json.dumps({**kept, "schema": SCHEMA, "key": key, **sections}, indent=1))
    except OSError as error:
        return f"the measured figures can't be kept in {os.path.dirname(path)}: {error.strerror}"  # noqa: PTH120
    return None


def _write(path: str, text: str) -> None:
    """Replace the file in one step, so that nobody ever reads half of it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
    partial = f"{path}.{os.getpid()}"
    try:
        with open(partial, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(text)
        os.replace(partial, path)  # noqa: PTH105
    except OSError:
        _forget(partial)
        raise


def _forget(path: str) -> None:
    try:
        os.unlink(path)  # noqa: PTH108
    except OSError:
        return


def _dated(rows: Iterable[Any]) -> dict[str, Any]:
    return {"taken_at": time.time(), "rows": [asdict(row) for row in rows]}


def _section(saved: dict[str, Any], name: str) -> dict[str, Any]:
    section = saved.get(name)
    return section if isinstance(section, dict) else {}


def _taken_at(saved: dict[str, Any], name: str) -> float | None:
    return _positive(_section(saved, name).get("taken_at"))


def _rows(saved: dict[str, Any], name: str, build: _Build[_Row]) -> tuple[_Row, ...]:
    """A section's rows, all of them or none: half a table would mislead."""
    rows = _section(saved, name).get("rows")
    if not isinstance(rows, list):
        return ()
    built = [build(row) if isinstance(row, dict) else None for row in rows]
    return () if None in built else tuple(row for row in built if row is not None)


def _read_bandwidth(row: dict[str, Any]) -> ReadBandwidth | None:
    threads, rate, pages = row.get("threads"), _positive(row.get("bytes_per_s")), row.get("pages")
    if not isinstance(threads, int) or threads < 1 or rate is None or pages not in ("huge", "4k"):
        return None
    return ReadBandwidth(threads, pages, rate, _positive(row.get("best_bytes_per_s")))


def _kernel_rate(row: dict[str, Any]) -> KernelRate | None:
    name, isa, rate = row.get("format"), row.get("isa"), _positive(row.get("weights_per_s"))
    if not isinstance(name, str) or not isinstance(isa, str) or rate is None:
        return None
    return KernelRate(name, isa, rate, "measured")


def _gpu(row: dict[str, Any]) -> Gpu | None:
    name, vram, source = row.get("name"), row.get("vram_bytes"), row.get("source")
    if not isinstance(name, str) or not isinstance(vram, int) or vram < 1 or not isinstance(source, str):
        return None
    return Gpu(name, vram, _positive(row.get("bandwidth_bytes_per_s")), source)


def _disk(section: dict[str, Any]) -> DiskRate | None:
    device, rate = section.get("device"), _positive(section.get("bytes_per_s"))
    if not isinstance(device, str) or rate is None:
        return None
    return DiskRate(device, rate, _positive(section.get("taken_at")))


def _positive(value: object) -> float | None:
    """A finite number above nothing (JSON as Python reads it also has NaN)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < 1e300 and math.isfinite(value) else None
