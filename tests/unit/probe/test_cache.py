"""The cache: what was remembered comes back, and nothing else ever does."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fitcheck.probe.cache import (
    SCHEMA,
    Remembered,
    cache_directory,
    recall,
    remember,
    remember_gpus,
)
from fitcheck.schema.machine import Gpu, KernelRate, Machine, MemoryModules, ReadBandwidth
from fitcheck.units import GIB

MACHINE = Machine("box", "this machine", 32 * GIB, cpu="A CPU", threads=8, simd=("avx2",))
ROWS = (ReadBandwidth(1, "huge", 20e9, 21e9), ReadBandwidth(8, "4k", 55.5e9, None))
RATES = (KernelRate("trit5", "avx2", 9e9, "measured"),)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def the_file(directory: Path) -> Path:
    (path,) = directory.iterdir()
    return path


def test_what_was_remembered_comes_back(tmp_path: Path) -> None:
    directory = str(tmp_path / "new" / "cache")
    assert remember(MACHINE, read_bandwidth=ROWS, directory=directory) is None
    assert remember(MACHINE, kernel_rates=RATES, directory=directory) is None
    found = recall(MACHINE, directory)
    assert (found.read_bandwidth, found.kernel_rates) == (ROWS, RATES)
    assert found.read_bandwidth_taken_at and found.kernel_rates_taken_at
    assert found.kernel_rates_taken_at >= found.read_bandwidth_taken_at
    assert [path.suffix for path in Path(directory).iterdir()] == [".json"], "no half-written file stays"


def test_gpus_come_back_with_their_fingerprint(tmp_path: Path) -> None:
    gpus = (Gpu("NVIDIA GeForce RTX 3090", 24 * GIB, 936e9, "NVML"),)
    assert remember_gpus(MACHINE, gpus, unified=False, fingerprint="card 1", directory=str(tmp_path)) is None
    found = recall(MACHINE, str(tmp_path))
    assert (found.gpus, found.gpus_fingerprint, found.gpus_unified) == (gpus, "card 1", False)


@pytest.mark.parametrize(
    "other",
    [
        replace(MACHINE, cpu="Another CPU"),
        replace(MACHINE, threads=4),
        replace(MACHINE, ram_bytes=64 * GIB),
        replace(MACHINE, simd=()),
        replace(MACHINE, memory=MemoryModules("DDR5", 2, 2, 128, 6e9)),
    ],
)
def test_another_machine_is_not_this_one(tmp_path: Path, other: Machine) -> None:
    remember(MACHINE, read_bandwidth=ROWS, directory=str(tmp_path))
    the_file(tmp_path).rename(tmp_path / "kept")
    remember(other, directory=str(tmp_path))
    path = next(path for path in tmp_path.iterdir() if path.name != "kept")
    (tmp_path / "kept").replace(path)  # the same name, as if the names had collided
    assert recall(other, str(tmp_path)) == Remembered()


def test_a_few_mib_more_or_less_are_the_same_machine(tmp_path: Path) -> None:
    remember(MACHINE, read_bandwidth=ROWS, directory=str(tmp_path))
    assert recall(replace(MACHINE, ram_bytes=32 * GIB - 40_000_000), str(tmp_path)).read_bandwidth == ROWS


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"schema": "other/1"}']
)
def test_a_broken_or_foreign_file_is_ignored_and_rewritten(tmp_path: Path, content: bytes) -> None:
    remember(MACHINE, read_bandwidth=ROWS, directory=str(tmp_path))
    the_file(tmp_path).write_bytes(content)
    assert recall(MACHINE, str(tmp_path)) == Remembered()
    assert remember(MACHINE, read_bandwidth=ROWS, directory=str(tmp_path)) is None
    assert recall(MACHINE, str(tmp_path)).read_bandwidth == ROWS


@pytest.mark.parametrize(
    "row",
    [
        {"threads": 0, "pages": "huge", "bytes_per_s": 1e9},
        {"threads": 1, "pages": "2m", "bytes_per_s": 1e9},
        {"threads": 1, "pages": ["huge"], "bytes_per_s": 1e9},
        {"threads": 1, "pages": "huge", "bytes_per_s": float("nan")},
        {"threads": 1, "pages": "huge", "bytes_per_s": -1},
        {"threads": 1, "pages": "huge", "bytes_per_s": 10**400},
        {"threads": "1", "pages": "huge", "bytes_per_s": 1e9},
        {},
        7,
    ],
)
def test_one_bad_row_spoils_its_table(tmp_path: Path, row: Any) -> None:
    remember(MACHINE, read_bandwidth=ROWS, kernel_rates=RATES, directory=str(tmp_path))
    saved = json.loads(the_file(tmp_path).read_text())
    saved["read_bandwidth"]["rows"].append(row)
    the_file(tmp_path).write_text(json.dumps(saved))
    found = recall(MACHINE, str(tmp_path))
    assert (found.read_bandwidth, found.kernel_rates) == ((), RATES)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sections=st.dictionaries(st.sampled_from(["read_bandwidth", "kernel_rates", "gpus", "x"]), JSON))
def test_any_json_in_a_section_is_survived(tmp_path: Path, sections: dict[str, Any]) -> None:
    remember(MACHINE, directory=str(tmp_path))
    saved = json.loads(the_file(tmp_path).read_text())
    assert saved["schema"] == SCHEMA
    the_file(tmp_path).write_text(json.dumps({**saved, **sections}))
    found = recall(MACHINE, str(tmp_path))
    assert found.read_bandwidth == ()
    assert found.kernel_rates == ()
    the_file(tmp_path).unlink()


def test_an_unwritable_directory_costs_a_note(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    note = remember(MACHINE, read_bandwidth=ROWS, directory=str(tmp_path / "file"))
    assert note is not None and note.startswith("the measured figures can't be kept in ")
    assert recall(MACHINE, str(tmp_path / "file")) == Remembered()


def test_where_the_cache_lies() -> None:
    home = Path.home().as_posix()
    assert cache_directory({"XDG_CACHE_HOME": "/x/"}, "linux") == "/x/fitcheck"
    assert cache_directory({"XDG_CACHE_HOME": "relative"}, "linux") == f"{home}/.cache/fitcheck"
    assert cache_directory({}, "darwin") == f"{home}/Library/Caches/fitcheck"
    assert cache_directory({"LOCALAPPDATA": "C:/L"}, "win32") == "C:/L/fitcheck/Cache"
