"""What Metal lets a GPU have of a Mac's memory.

Asked through the Objective-C runtime, as ``[MTLCreateSystemDefaultDevice()
recommendedMaxWorkingSetSize]``: in bytes, and with ``iogpu.wired_limit_mb``
counted in (AlexsJones/llmfit pull request 754 checked that on an M3). Written
from Apple's documentation; its boundary is faked in tests, and it was never
run on a Mac by us.
"""

import ctypes
from collections.abc import Callable
from typing import Any

WorkingSet = Callable[[], int | None]
"""Bytes that the GPU may have, or None where nobody tells."""

Load = Callable[[str], Any]
"""A system library by its path, as ctypes.CDLL gives it."""

_FRAMEWORKS = "/System/Library/Frameworks"
_RUNTIME = "/usr/lib/libobjc.A.dylib"
_MOST = 1 << 50  # bytes: a message to nothing gives nothing, one misread gives anything


def working_set(load: Load = ctypes.CDLL) -> int | None:
    """The default device's recommendedMaxWorkingSetSize; None where there is no Metal to ask."""
    try:
        load(f"{_FRAMEWORKS}/CoreGraphics.framework/CoreGraphics")  # without it no device is made
        create = load(f"{_FRAMEWORKS}/Metal.framework/Metal").MTLCreateSystemDefaultDevice
        send = _Messages(load(_RUNTIME))
        create.restype, create.argtypes = ctypes.c_void_p, []
        device = create()
    except (OSError, AttributeError):
        return None
    if not device:
        return None
    found = send.number(device, b"recommendedMaxWorkingSetSize")
    send.number(device, b"release")
    return found if 0 < found < _MOST else None


class _Messages:
    """Messages to an object that take nothing and give an unsigned integer of 64 bits."""

    def __init__(self, runtime: Any) -> None:
        self._register, self._send = runtime.sel_registerName, runtime.objc_msgSend
        self._register.restype, self._register.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
        self._send.restype, self._send.argtypes = ctypes.c_uint64, [ctypes.c_void_p, ctypes.c_void_p]

    def number(self, receiver: int, selector: bytes) -> int:
        return int(self._send(receiver, self._register(selector)))
