"""The RAM modules, without root: udev keeps what the firmware told systemd at boot.

/sys/firmware/dmi is root's alone, but systemd (since 248) reads it into the
udev database, which everyone may read. Source: its src/udev/dmi_memory_id.
"""

import re

from fitcheck.probe.files import Files, natural
from fitcheck.schema.machine import MemoryModules

# Patterns stay text: most machines lack the file, and compiling takes longer than the probe.
_PROPERTY = r"E:MEMORY_DEVICE_(\d{1,4})_(\w+)=(.*)"

# "P0 CHANNEL A", "ChannelA-DIMM0", "Controller1-ChannelB-DIMM0", "SOCKET 0 CHANNEL 2 DIMM 0"
_CHANNEL = r"(?i)(.*channel[ _-]?\w)"
# Boards that only number the slots: "DIMM_A2", "Controller0-DIMMA2", "DIMMA1", "A1_DIMM0"
_SLOT = r"(?i)(.*DIMM[ _-]?[A-Z])\d|([A-Z])\d_DIMM"

_MODULE_BITS = 64  # a DIMM's data width, however its firmware counts DDR5's two halves


def read_modules(files: Files) -> MemoryModules | None:
    """The modules with their channels and rate; None where any of that is missing."""
    filled = [device for device in _devices(files) if natural(device.get("SIZE"))]
    channels = {_channel(device): _bits(device) for device in filled}
    rates = {natural(device.get("CONFIGURED_SPEED_MTS")) for device in filled}
    if not filled or None in channels or len(rates) != 1 or not (rate := rates.pop()):
        return None
    bits = [width for width in channels.values() if width]
    whole = sum(bits) if len(bits) == len(channels) else None
    return MemoryModules(_type(filled[0]), len(filled), len(channels), whole, rate * 1e6)


def _devices(files: Files) -> list[dict[str, str]]:
    """The properties of each memory slot, filled or empty."""
    slots: dict[str, dict[str, str]] = {}
    for line in files.lines("run/udev/data/+dmi:id"):
        if match := re.fullmatch(_PROPERTY, line.strip()):
            slots.setdefault(match[1], {})[match[2]] = match[3].strip()
    return list(slots.values())


def _channel(device: dict[str, str]) -> str | None:
    """What tells a module's channel from the others; None where the board doesn't say."""
    bank, slot = device.get("BANK_LOCATOR", ""), device.get("LOCATOR", "")
    for text in (bank, slot):
        if match := re.match(_CHANNEL, text):
            return match[1].upper()
    match = re.match(_SLOT, slot)
    return (match[1] or match[2]).upper() if match else None


def _bits(device: dict[str, str]) -> int | None:
    """The data width of a module's channel."""
    soldered = device.get("TYPE", "").startswith("LPDDR") or "DIMM" not in device.get("FORM_FACTOR", "")
    return natural(device.get("DATA_WIDTH")) if soldered else _MODULE_BITS


def _type(device: dict[str, str]) -> str | None:
    """DDR4, LPDDR5 …; older systemd writes ``<OUT OF SPEC>`` for what it doesn't know."""
    name = device.get("TYPE", "")
    return name if "DDR" in name else None
