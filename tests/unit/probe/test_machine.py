"""The door: what it adds to the static machine, and what it never does."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fitcheck.errors import NativeMissing
from fitcheck.probe import machine as door
from fitcheck.probe import probe_machine
from fitcheck.probe.cache import remember
from fitcheck.probe.gpu import Gpus
from fitcheck.schema.machine import Cache, Gpu, KernelRate, Machine, ReadBandwidth, System
from fitcheck.units import GIB, MIB

STATIC = Machine("box", "this machine", 32 * GIB, cpu="A CPU", threads=8, available_bytes=30 * GIB)
ROWS = (ReadBandwidth(8, "huge", 60e9, 62e9), ReadBandwidth(8, "4k", 50e9, 51e9))
CARD = Gpu("NVIDIA GeForce RTX 3090", 24 * GIB, 936e9, "NVML")


@pytest.fixture(autouse=True)
def a_box(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A static machine of our own, an empty cache, no GPU, and nothing that may be measured."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(door, "_static", lambda: STATIC)
    monkeypatch.setattr(door, "nvidia_fingerprint", lambda files: None)
    monkeypatch.setattr(door, "measure_read_bandwidth", forbidden)


def forbidden(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("measured without being asked")


def test_nothing_known_is_said_and_nothing_measured() -> None:
    found = probe_machine()
    assert (found.bandwidth_bytes_per_s, found.bandwidth_basis) == (None, "assumed")
    assert found.notes == (door.NOT_MEASURED,)


def test_the_cache_is_used_and_not_measured_again() -> None:
    rates = (KernelRate("trit5", "avx2", 9e9, "measured"),)
    remember(STATIC, read_bandwidth=ROWS, kernel_rates=rates)
    found = probe_machine(measure=True)
    assert (found.bandwidth_bytes_per_s, found.bandwidth_basis) == (60e9, "measured")
    assert (found.read_bandwidth, found.kernel_rates, found.notes) == (ROWS, rates, ())


def test_old_figures_are_called_old(monkeypatch: pytest.MonkeyPatch) -> None:
    remember(STATIC, read_bandwidth=ROWS)
    now = door.time.time()
    monkeypatch.setattr(door.time, "time", lambda: now + 200 * 86400)
    assert probe_machine().notes == ("read bandwidth was measured 200 days ago; --fresh measures again",)


@pytest.mark.parametrize("wanted", [{"measure": True}, {"fresh": True}])
def test_measured_once_and_kept(monkeypatch: pytest.MonkeyPatch, wanted: dict[str, bool]) -> None:
    monkeypatch.setattr(door, "measure_read_bandwidth", lambda *args, **kwargs: ROWS)
    assert probe_machine(**wanted).bandwidth_bytes_per_s == 60e9
    monkeypatch.setattr(door, "measure_read_bandwidth", forbidden)
    assert probe_machine().read_bandwidth == ROWS


def test_fresh_measures_again(monkeypatch: pytest.MonkeyPatch) -> None:
    remember(STATIC, read_bandwidth=ROWS)
    faster = (replace(ROWS[0], bytes_per_s=70e9, best_bytes_per_s=71e9),)
    monkeypatch.setattr(door, "measure_read_bandwidth", lambda *args, **kwargs: faster)
    assert probe_machine(fresh=True).read_bandwidth == faster
    assert probe_machine().read_bandwidth == faster


def test_without_the_extension_there_is_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: Any, **kwargs: Any) -> Any:
        raise NativeMissing("no module")

    monkeypatch.setattr(door, "measure_read_bandwidth", missing)
    (note,) = probe_machine(measure=True).notes
    assert "install a C compiler" in note


def test_a_busy_machine_is_called_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = (ReadBandwidth(8, "huge", 40e9, 62e9),)
    monkeypatch.setattr(door, "measure_read_bandwidth", lambda *args, **kwargs: noisy)
    (note,) = probe_machine(fresh=True).notes
    assert "busy" in note and "62.0 GB/s" in note


@pytest.mark.skipif(sys.platform != "linux", reason="fingerprints are Linux's")
def test_the_driver_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(door, "nvidia_fingerprint", lambda files: "card 1")
    monkeypatch.setattr(door, "query_nvidia", lambda: asked.append(1) or Gpus((CARD,)))
    assert [probe_machine().gpus, probe_machine().gpus] == [(CARD,), (CARD,)]
    assert len(asked) == 1
    monkeypatch.setattr(door, "nvidia_fingerprint", lambda files: "card 1 and 2")
    probe_machine()
    assert len(asked) == 2


def test_the_buffer_outgrows_the_caches_but_not_the_memory() -> None:
    big = Cache(3, "unified", 32 * MIB, shared_by=8, count=8)
    assert door.buffer_bytes(STATIC) == 256 * MIB
    assert door.buffer_bytes(replace(STATIC, caches=(big,))) == 1 * GIB
    assert door.buffer_bytes(replace(STATIC, caches=(big,), available_bytes=1 * GIB + 5)) == 128 * MIB


def test_one_kind_of_pages_where_huge_ones_are_off(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(door, "measure_read_bandwidth", lambda *args, **given: seen.update(given) or ROWS[1:])
    monkeypatch.setattr(
        door, "_static", lambda: replace(STATIC, system=System(transparent_huge_pages="never"))
    )
    probe_machine(fresh=True)
    assert seen["pages"] == ("4k",)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems need psutil")
def test_probing_imports_nothing_slow() -> None:
    code = (
        "import sys; from fitcheck.probe import probe_machine; probe_machine(); "
        "slow = {'psutil', 'cpuinfo', 'numpy', 'pydantic', 'rich', 'platformdirs', 'subprocess', 'ctypes'}; "
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
