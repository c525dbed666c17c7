"""Whatever a file of a captured machine turns into, the probe answers and stays sane."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitcheck.probe.files import Files, cpu_list, fields, natural
from fitcheck.probe.linux import read_machine
from fitcheck.schema.machine import Machine

GARBAGE = st.one_of(
    st.just(b""),
    st.binary(max_size=200),
    st.text(alphabet="0123456789-,: /.maxKkB\n\t\0", max_size=200).map(str.encode),
    st.integers(-(2**70), 2**70).map(lambda number: str(number).encode()),
    st.sampled_from([b"0", b"-1", b"max", b"0-99999999999", b"9" * 5000, b"../../..", b"0::/../..", b"NaN"]),
)


def check(machine: Machine) -> None:
    """Figures are positive or unknown, and never contradict each other."""
    assert machine.ram_bytes is None or machine.ram_bytes > 0
    assert machine.available_bytes is None or machine.available_bytes >= 0
    assert (
        None in (machine.available_bytes, machine.ram_bytes) or machine.available_bytes <= machine.ram_bytes
    )
    assert machine.threads is None or machine.threads >= 1
    assert machine.cores is None or machine.threads is None or 1 <= machine.cores <= machine.threads
    assert machine.peak_bandwidth_bytes_per_s is None or machine.peak_bandwidth_bytes_per_s > 0
    if machine.limit_bytes is not None and machine.ram_bytes is not None:
        assert 0 <= machine.limit_bytes < machine.ram_bytes
    assert all(cache.size_bytes > 0 and cache.count > 0 and cache.shared_by > 0 for cache in machine.caches)
    assert all(gpu.vram_bytes > 0 for gpu in machine.gpus)
    asdict(machine)


@contextmanager
def replaced(root: Path, changes: dict[str, bytes | None]) -> Iterator[None]:
    """Files with other contents, or (None) away, until the end of the block."""
    saved = {path: (root / path).read_bytes() for path in changes}
    try:
        for path, content in changes.items():
            if content is None:
                (root / path).unlink()
            else:
                (root / path).write_bytes(content)
        yield
    finally:
        for path, content in saved.items():
            (root / path).write_bytes(content)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_garbage_in_any_file_never_raises(replay: Any, data: st.DataObject) -> None:
    paths = data.draw(st.lists(st.sampled_from(replay.paths), min_size=1, max_size=8, unique=True))
    changes = {path: data.draw(GARBAGE) for path in paths}
    with replaced(replay.root, changes):
        check(read_machine(replay.files, replay.process))


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_missing_files_never_raise(replay: Any, data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.sampled_from(replay.paths)))
    with replaced(replay.root, dict.fromkeys(gone)):
        check(read_machine(replay.files, replay.process))


def test_directories_loops_and_binary_where_files_should_be(tmp_path: Path) -> None:
    (tmp_path / "proc/meminfo").mkdir(parents=True)
    (tmp_path / "proc/cpuinfo").symlink_to("cpuinfo")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    files = Files(str(tmp_path))
    assert files.text("proc/meminfo") is None
    assert files.text("proc/cpuinfo") is None
    assert files.text("a\0b") is None
    assert files.names("a\0b") == []
    assert files.link("proc/cpuinfo") is None
    assert files.number("binary") is None


def test_a_file_is_read_to_its_end_but_no_further_than_asked(tmp_path: Path) -> None:
    (tmp_path / "long").write_text("7" * 200_000)
    assert Files(str(tmp_path)).text("long") == "7" * 200_000
    assert Files(str(tmp_path)).text("long", most=5) == "77777"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0-3,8,10-11", {0, 1, 2, 3, 8, 10, 11}),
        ("", set()),
        (None, set()),
        ("5", {5}),
        ("3-1,x,-2,7", {7}),
        ("0-99999999999", set()),
    ],
)
def test_cpu_lists(text: str | None, expected: set[int]) -> None:
    assert cpu_list(text) == expected


@given(st.frozensets(st.integers(0, 500)))
def test_any_cpu_list_comes_back(cpus: frozenset[int]) -> None:
    assert cpu_list(",".join(map(str, sorted(cpus)))) == cpus


def test_numbers_and_fields() -> None:
    assert [natural(text) for text in ("12", "-1", "1_0", "٣", "", None, "9" * 21)] == [12] + [None] * 6
    assert fields(["MemTotal:  12 kB", "Name: x", "nothing"], ":") == {"MemTotal": 12}
    assert fields(["anon 5", "file 6 7"]) == {"anon": 5, "file": 6}
