"""Which rate of reads a machine's storage gets: remembered, measured, or none."""

from pathlib import Path
from typing import Any

import pytest

from fitcheck.bench.disk import DiskRead
from fitcheck.probe import disk
from fitcheck.probe.cache import DiskRate, recall, remember_disk
from fitcheck.schema.machine import Machine, Storage
from fitcheck.speed.disk import disk_of
from fitcheck.units import GIB

NVME = Storage("nvme0n1", "nvme")
BOX = Machine("box", "this machine", 32 * GIB, cpu="A CPU", threads=8, storage=NVME)


@pytest.fixture(autouse=True)
def a_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache that lies on the machine's disk, and nothing that may be measured."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(disk, "_storage_of", lambda directory: NVME)
    monkeypatch.setattr(disk, "measure_disk_read", forbidden)


def forbidden(*args: Any) -> Any:
    raise AssertionError("measured without being asked")


def measured(monkeypatch: pytest.MonkeyPatch, found: DiskRead) -> Machine:
    monkeypatch.setattr(disk, "measure_disk_read", lambda directory: found)
    return disk.with_disk(BOX, fresh=False)


def test_measured_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(monkeypatch, DiskRead(2e9))
    assert found.notes == () and disk_of(found.storage) == (2e9, "nvme", "measured")
    monkeypatch.setattr(disk, "measure_disk_read", forbidden)
    again = disk.remembered_disk(BOX, recall(BOX).disk)
    assert again.storage == found.storage
    assert disk.with_disk(again, fresh=False) == again


def test_fresh_measures_again(monkeypatch: pytest.MonkeyPatch) -> None:
    remember_disk(BOX, "nvme0n1", 2e9)
    monkeypatch.setattr(disk, "measure_disk_read", lambda directory: DiskRead(3e9))
    known = disk.remembered_disk(BOX, recall(BOX).disk)
    assert disk_of(disk.with_disk(known, fresh=True).storage).bytes_per_s == 3e9


def test_a_figure_of_another_disk_is_none_of_this_one() -> None:
    assert disk.remembered_disk(BOX, DiskRate("sda", 2e9)) == BOX


def test_old_figures_are_called_old() -> None:
    (note,) = disk.remembered_disk(BOX, DiskRate("nvme0n1", 2e9, taken_at=1e9)).notes
    assert "days ago" in note and "--fresh" in note


def test_a_cache_elsewhere_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_storage_of", lambda directory: Storage("sda", "hdd"))
    found = disk.with_disk(BOX, fresh=True)
    assert found.storage == NVME and found.notes == (
        "the disk was not measured: the cache directory lies on sda, not on nvme0n1",
    )


@pytest.mark.parametrize("storage", [None, Storage("tmpfs", "ram")])
def test_memory_and_the_unknown_are_not_measured(storage: Storage | None) -> None:
    box = Machine("box", "this machine", 32 * GIB, storage=storage)
    assert disk.with_disk(box, fresh=True) == box


def test_what_can_not_be_measured_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(monkeypatch, DiskRead(None, "the disk was not measured: full"))
    assert found.notes == ("the disk was not measured: full",)
    assert disk_of(found.storage).basis == "assumed" and recall(BOX).disk is None


def test_a_virtual_disk_is_not_trusted_blindly(monkeypatch: pytest.MonkeyPatch) -> None:
    virtual = Storage("vda", "virtual")
    monkeypatch.setattr(disk, "_storage_of", lambda directory: virtual)
    monkeypatch.setattr(disk, "measure_disk_read", lambda directory: DiskRead(2e9))
    (note,) = disk.with_disk(Machine("box", "this machine", 32 * GIB, storage=virtual), fresh=False).notes
    assert "host" in note
