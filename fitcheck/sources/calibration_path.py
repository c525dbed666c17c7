"""Where calibration keeps what it learned of a machine.

Apart from the reading and writing of it: every plan asks whether anything is there.
"""

import os
import re
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path

from fitcheck.schema.machine import Machine
from fitcheck.sources.user_directories import user_directory


def data_directory(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """The user's data directory for fitcheck; it may not exist yet."""
    return Path(user_directory("data", environment, platform))


def machine_key(machine: Machine) -> str:
    """The machine as calibration tells it from others: by its name and its processor.

    RAM, bandwidth or threads put in place of its own leave it the same machine:
    what is learned are shares of them.
    """
    parts = (machine.name, machine.cpu if machine.cpu != machine.name else None, machine.arch)
    return ", ".join(part for part in parts if part)


def has_calibration(machine: Machine, directory: Path | None = None) -> bool:
    """Whether anything is kept of it: what a plan asks before it loads more."""
    return path_of(machine_key(machine), directory).is_file()


def path_of(key: str, directory: Path | None = None) -> Path:
    """A name people recognise; the checksum tells apart what is left of it."""
    words = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")[:60]
    return (directory or data_directory()) / f"calibration-{words}-{zlib.crc32(key.encode()):08x}.json"
