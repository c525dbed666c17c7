"""Where a user's files belong: cache, configuration and data, by the platform's rule.

A directory may not exist yet. Not platformdirs: importing it takes 24 ms, a
tenth of the time an answer has.
"""

import os
import sys
from collections.abc import Mapping
from typing import Literal, NamedTuple

Kind = Literal["cache", "config", "data"]


class _Place(NamedTuple):
    """On Linux a variable or a folder at home; on macOS a folder; on Windows the same, and a last part."""

    variable: str
    linux: str
    darwin: str
    windows_variable: str
    windows: str
    windows_last: str


_PLACES: dict[Kind, _Place] = {
    "cache": _Place("XDG_CACHE_HOME", ".cache", "Library/Caches", "LOCALAPPDATA", "AppData/Local", "/Cache"),
    "config": _Place(
        "XDG_CONFIG_HOME", ".config", "Library/Application Support", "APPDATA", "AppData/Roaming", ""
    ),
    "data": _Place(
        "XDG_DATA_HOME",
        ".local/share",
        "Library/Application Support",
        "LOCALAPPDATA",
        "AppData/Local",
        "/Data",
    ),
}


def user_directory(
    kind: Kind, environment: Mapping[str, str] = os.environ, platform: str = sys.platform
) -> str:
    """The user's directory of that kind for fitcheck."""
    place = _PLACES[kind]
    if environment.get(place.variable, "").startswith("/"):  # the standard says: ignore a relative one
        return environment[place.variable].rstrip("/") + "/fitcheck"
    home = os.path.expanduser("~")  # noqa: PTH111 (pathlib raises where there is no home)
    if platform == "darwin":
        return f"{home}/{place.darwin}/fitcheck"
    if platform == "win32":
        start = environment.get(place.windows_variable, f"{home}/{place.windows}")
        return f"{start}/fitcheck{place.windows_last}"
    return f"{home}/{place.linux}/fitcheck"
