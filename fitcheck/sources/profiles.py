"""Find and read the profile files: TOML, one thing a file, each with its source.

They lie in ``fitcheck/profiles`` once installed, and beside the package in a
checkout. ``Path`` and not importlib.resources, which costs a tenth of the
time an answer may take.
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from fitcheck.errors import BadInput, FitcheckError

_PACKAGE = Path(__file__).resolve().parents[1]

Table = dict[str, Any]
"""A parsed TOML table; its reader says what it must hold."""


@cache
def profiles_directory() -> Path:
    """Where the profiles lie. Raises FitcheckError where the install lost them."""
    for directory in (_PACKAGE / "profiles", _PACKAGE.parent / "profiles"):
        if (directory / "sizes.toml").is_file():
            return directory
    raise FitcheckError("fitcheck's profiles are missing", "install fitcheck-planner again")


@cache
def stems(kind: str) -> tuple[str, ...]:
    """The names of all profiles of a kind (``models``, ``machines``), sorted."""
    names = (path.name for path in (profiles_directory() / kind).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def profile_path(kind: str, stem: str) -> Path:
    return profiles_directory() / kind / f"{stem}.toml"


def read_toml(path: Path) -> Table:
    """The table a TOML file holds. Raises BadInput, naming the file and the line."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"{path.name} can't be read: {error}", "mend the file or restore it") from error


def source_of(table: Table) -> str:
    """Where a profile's figures come from; a profile may list several places."""
    source = table["source"]
    return source if isinstance(source, str) else "; ".join(source)
