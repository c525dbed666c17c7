"""What a Mac's GPU may have: Metal's answer with its libraries faked, and the rule beside public logs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitcheck.budget import wired_by_rule
from fitcheck.probe.metal import working_set
from fitcheck.units import GIB


class Call:
    """A C function as ctypes has it: types may be set, and it can be called."""

    restype: Any = None
    argtypes: Any = None

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __call__(self, *args: Any) -> Any:
        return self.answer(*args)


class System:
    """A Mac's libraries, with a device of so much memory; ``messages`` are what it was sent."""

    def __init__(self, told: int, device: int | None = 0x600000F0) -> None:
        self.messages: list[tuple[int, bytes]] = []
        self.loaded: list[str] = []
        self.MTLCreateSystemDefaultDevice = Call(lambda: device)
        self.sel_registerName = Call(lambda name: name)
        self.objc_msgSend = Call(self._send)
        self._told = told

    def _send(self, receiver: int, selector: bytes) -> int:
        self.messages.append((receiver, selector))
        return self._told if selector == b"recommendedMaxWorkingSetSize" else 0

    def load(self, path: str) -> "System":
        self.loaded.append(path.rsplit("/", 1)[-1])
        return self


@given(st.integers(1, (1 << 50) - 1))
def test_metal_is_asked_once_and_the_device_let_go(told: int) -> None:
    system = System(told)
    assert working_set(system.load) == told
    assert system.loaded == ["CoreGraphics", "Metal", "libobjc.A.dylib"]
    assert [selector for _, selector in system.messages] == [b"recommendedMaxWorkingSetSize", b"release"]
    assert {receiver for receiver, _ in system.messages} == {0x600000F0}


@pytest.mark.parametrize("told", [0, 1 << 50, (1 << 64) - 1])
def test_an_answer_that_is_none(told: int) -> None:
    assert working_set(System(told).load) is None


def test_a_mac_without_a_device() -> None:
    system = System(GIB, device=None)
    assert working_set(system.load) is None
    assert system.messages == []


def test_a_system_without_metal() -> None:
    def refuse(path: str) -> Any:
        raise OSError(f"{path}: no such file")

    assert working_set(refuse) is None
    assert working_set(lambda path: object()) is None


# recommendedMaxWorkingSetSize in MB of 10^6 bytes, as llama.cpp's logs have it: older systems, then of 2026.
LOGS = [
    (16, 11453.25, 12713.12),
    (24, 17179.89, 19069.67),
    (32, 22906.50, 26800.60),
    (36, 28991.03, 30150.67),
    (64, 51539.61, 55662.79),
    (128, 103079.22, 115448.73),
]


@pytest.mark.parametrize(("ram_gib", "older", "newer"), LOGS)
def test_the_rule_is_what_older_systems_said(ram_gib: int, older: float, newer: float) -> None:
    rule = wired_by_rule(ram_gib * GIB) / 1e6
    assert rule == pytest.approx(older, abs=0.05)
    assert rule < newer
