"""What the app remembers between sessions: one small JSON file in the user's config directory.

A file that can't be read as ours is moved aside, never overwritten and never fatal.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from fitcheck.sources.overrides import Bus
from fitcheck.sources.user_directories import user_directory
from fitcheck.tui.choices import Choices

SCHEMA = "fitcheck.session/1"
FILE = "session.json"
DARK, LIGHT = "textual-dark", "textual-light"

Value = TypeVar("Value", Bus, Choices, "Settings")

_LONGEST = 1 << 16  # bytes; a real one has some hundred
_MAY_BE_NOTHING = ("gpu_layers", "cpu_moe_layers", "reserve_bytes")


@dataclass(frozen=True, slots=True)
class Settings:
    """The last session: its question, and how the person likes to look at it."""

    choices: Choices = field(default_factory=Choices)
    theme: str = DARK
    sort: str = "bits"
    only_fitting: bool = False
    beside: str | None = None  # the second machine of the comparison
    favourites: tuple[str, ...] = ()


def config_directory(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """The user's config directory for fitcheck; it may not exist yet."""
    return Path(user_directory("config", environment, platform))


def load_settings(directory: Path) -> tuple[Settings, str | None]:
    """The last session's settings, and a notice where its file was broken and moved aside."""
    path = directory / FILE
    try:
        with path.open("rb") as file:
            return _settings(json.loads(file.read(_LONGEST))), None
    except OSError:
        return Settings(), None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Settings(), _move_aside(path)


def save_settings(settings: Settings, directory: Path) -> str | None:
    """Keep the settings; returns a notice where they can't be written, else None."""
    partial = directory / f"{FILE}.{os.getpid()}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps({"schema": SCHEMA, **asdict(settings)}, indent=1), encoding="utf-8")
        partial.replace(directory / FILE)  # in one step: nobody ever reads half of it
    except OSError as error:
        return f"this session can't be remembered in {directory}: {error.strerror}"
    return None


def _move_aside(path: Path) -> str:
    aside = path.with_suffix(".broken.json")
    try:
        path.replace(aside)
    except OSError as error:
        return f"the remembered session can't be read or moved: {error.strerror}"
    return f"the remembered session was unreadable: moved to {aside}"


def _settings(saved: Any) -> Settings:
    """Raises ValueError, TypeError, KeyError or AttributeError for what is not ours."""
    if saved.pop("schema") != SCHEMA:
        raise ValueError("another schema")
    choices = saved.pop("choices")
    bus = choices.pop("bus")
    lists = {name: tuple(value) for name, value in choices.items() if isinstance(value, list)}
    known = _typed(Choices(**{**choices, **lists}, bus=_typed(Bus(**bus)) if bus else None))
    return _typed(replace(Settings(**{**saved, "favourites": tuple(saved["favourites"])}), choices=known))


def _typed(value: Value) -> Value:
    """The value, if each field holds its own kind of thing and each number is one that can be meant."""
    for name, kind in get_type_hints(type(value)).items():
        found = getattr(value, name)
        words = found if isinstance(found, tuple) else ()
        if not isinstance(found, _plain(kind)) or not all(isinstance(word, str) for word in words):
            raise TypeError(f"{name} is {type(found).__name__}")
        if isinstance(found, int | float) and not isinstance(found, bool) and not _meant(name, found):
            raise ValueError(f"{name} is {found}")
    return value


def _meant(name: str, number: float) -> bool:
    """More than nothing, or nothing where that says something."""
    return number > 0 or (number == 0 and name in _MAY_BE_NOTHING)


def _plain(kind: Any) -> tuple[type, ...]:
    """What isinstance knows of an annotation: ``tuple[str, ...] | None`` is a tuple or None."""
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    plain = tuple(get_origin(one) or one for one in kinds)
    return (*plain, int) if float in plain else plain  # JSON writes 60.0 as it likes
