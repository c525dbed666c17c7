"""The disk's read rate: what it reads, how it stops, and that nothing is left behind."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from fitcheck.bench import disk
from fitcheck.bench.disk import measure_disk_read
from fitcheck.units import MIB

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measured on Linux only")


def test_a_rate_is_found_and_nothing_is_left(tmp_path: Path) -> None:
    found = measure_disk_read(str(tmp_path / "new"), 32 * MIB)
    assert found.note is None and found.bytes_per_s is not None and found.bytes_per_s > 0
    assert list((tmp_path / "new").iterdir()) == []


def test_the_rate_is_bytes_over_the_time_of_their_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that only reads move: each takes a tenth of a second."""
    now, real = [0.0], os.readv

    def readv(*args: Any) -> int:
        now[0] += 0.1
        return real(*args)

    monkeypatch.setattr(disk.os, "readv", readv)
    monkeypatch.setattr(disk.time, "monotonic", lambda: now[0])
    found = measure_disk_read(str(tmp_path), 64 * MIB)
    assert found.bytes_per_s == pytest.approx(40 * MIB)


def test_a_slow_disk_is_told_by_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, read, real = [0.0], [0], os.readv

    def readv(*args: Any) -> int:
        now[0] += 1.0
        read[0] += 1
        return real(*args)

    monkeypatch.setattr(disk.os, "readv", readv)
    monkeypatch.setattr(disk.time, "monotonic", lambda: now[0])
    assert measure_disk_read(str(tmp_path), 64 * MIB).bytes_per_s == pytest.approx(4 * MIB)
    assert read[0] == 2


def test_without_o_direct_pages_are_given_up_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dropped: list[int] = []
    real = os.open

    def refuse(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_DIRECT:
            raise OSError(22, "Invalid argument")
        return real(path, flags, mode)

    monkeypatch.setattr(disk.os, "open", refuse)
    monkeypatch.setattr(disk.os, "posix_fadvise", lambda *args: dropped.append(args[3]))
    assert measure_disk_read(str(tmp_path), 32 * MIB).bytes_per_s
    assert dropped == [os.POSIX_FADV_DONTNEED]
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_left_alone(tmp_path: Path) -> None:
    found = measure_disk_read(str(tmp_path), 1 << 60)
    assert found.bytes_per_s is None and "nearly full" in (found.note or "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["writev", "fsync", "readv"])
def test_a_disk_that_fails_costs_a_note_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*args: Any) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(disk.os, step, fail)
    found = measure_disk_read(str(tmp_path), 32 * MIB)
    assert found.bytes_per_s is None and "Input/output error" in (found.note or "")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_nobody_may_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = measure_disk_read(str(tmp_path / "file" / "below"), 32 * MIB)
    assert found.bytes_per_s is None and "not measured" in (found.note or "")
