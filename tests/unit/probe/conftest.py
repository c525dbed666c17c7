"""Captured machines: one text file each, unpacked beneath a temporary root and probed there."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fitcheck.probe.files import Files, cpu_list
from fitcheck.probe.linux import Process

CAPTURED = Path(__file__).parent / "captured"
Bundle = tuple[Process, dict[str, str], dict[str, str]]
"""What is known of the process, then files and links by path."""


@dataclass(frozen=True)
class Replay:
    """A captured machine on disk."""

    process: Process
    root: Path
    paths: tuple[str, ...]

    @property
    def files(self) -> Files:
        return Files(str(self.root))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for ``replay`` runs once for each captured machine."""
    if "replay" in metafunc.fixturenames:
        names = sorted(path.stem for path in CAPTURED.glob("*.txt"))
        metafunc.parametrize("replay", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def replay(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """For tests that leave the files as they found them."""
    return unpack(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def captured(tmp_path: Path) -> Callable[[str], Replay]:
    return lambda name: unpack(name, tmp_path)


def read_bundle(name: str) -> Bundle:
    """A captured machine by the name of its file."""
    head, *parts = (CAPTURED / f"{name}.txt").read_text().split("\n=== ")
    files, links = {}, {}
    for part in parts:
        title, _, text = part.partition("\n")
        path, arrow, target = title.partition(" -> ")
        if arrow:
            links[path] = target
        else:
            files[path] = text.removesuffix("\n")
    return _process(head.splitlines()[-1]), files, links


def _process(line: str) -> Process:
    told = dict(word.split("=", 1) for word in line.split()[1:])
    major, _, minor = told["device"].partition(":")
    device = None if told["device"] == "-" else (int(major), int(minor))
    return Process(told["arch"], cpu_list(told["cpus"]), int(told["page"]), device)


def unpack(name: str, root: Path) -> Replay:
    """The machine's files beneath ``root``. Links first: some files lie behind them."""
    process, files, links = read_bundle(name)
    for path, target in links.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / target).mkdir(parents=True, exist_ok=True)
        (root / path).symlink_to(root / target)
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text + "\n")  # the kernel ends its lines
    return Replay(process, root, tuple(files))
