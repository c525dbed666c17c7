"""JSON from files that nobody vouches for: parsed within bounds, and read field by field.

What is wrong with it is said plainly.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from fitcheck.errors import BadInput
from fitcheck.sources.binary_file import JSON_TEXT, UNKNOWN, recognise

_LARGEST_FILE = 4 << 20  # bytes; a config is a few thousand, this is no model
MOST = 1 << 24  # no dimension, vocabulary or count of a real model comes near


_LONGEST_NUMBER = 20  # digits of 2**64


class NotJson(ValueError):
    """What is wrong with the text, in a few words."""


def parse_json(data: bytes, lenient: bool = False) -> Any:
    """The value that the text stands for; no endless numbers or nesting. Raises NotJson.

    Lenient takes what Python writes and publishers ship in a config: Infinity
    (a Mamba's time_step_limit), a name that stands twice, a byte order mark.
    """
    try:
        text = data.decode("utf-8-sig" if lenient else "utf-8")
        return json.loads(
            text,
            parse_int=_number,
            parse_float=_fraction,
            parse_constant=None if lenient else _no_constant,
            object_pairs_hook=None if lenient else _unique,
        )
    except UnicodeDecodeError:
        raise NotJson("it isn't UTF-8 text") from None
    except RecursionError:
        raise NotJson("it is nested too deep") from None
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg.lower()} at character {error.pos}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise NotJson("a name stands in it twice")
    return table


def _number(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise NotJson(f"a number has {len(digits)} digits")
    return int(digits)


def _fraction(digits: str) -> float:
    return float(digits[:64])


def _no_constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is no number of JSON")


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object and the name to call it in errors."""

    table: dict[str, Any]
    where: str

    def having(self, /, **named: Any) -> "Fields":
        """The same object with these fields in place of its own."""
        return Fields(self.table | named, self.where)

    def count(self, name: str, default: int | None = None, most: int = MOST) -> int:
        """A whole number from 1 to ``most``; null and absence give the default. Raises BadInput."""
        value = self.table.get(name)
        if value is None and default is not None:
            return default
        if value is None:
            raise self.wrong(f"has no {name}")
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(f"{name} is {_short(value)}, not a whole number")
        if not 1 <= value <= most:
            raise self.wrong(f"{name} is {_short(value)}: it must lie between 1 and {most}")
        return value

    def maybe_count(self, name: str, most: int = MOST) -> int | None:
        """The whole number, or None where it is null, absent or 0 (publishers write all three)."""
        return self.count(name, most=most) if self.table.get(name) else None

    def flag(self, name: str, default: bool) -> bool:
        """True or false; null and absence give the default. Raises BadInput."""
        value = self.table.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(f"{name} is {_short(value)}, not true or false")
        return default if value is None else value

    def text(self, name: str) -> str:
        """A string; "" where it is null or absent. Raises BadInput."""
        value = self.table.get(name) or ""
        if not isinstance(value, str):
            raise self.wrong(f"{name} is {_short(value)}, not a text")
        return value

    def inner(self, name: str) -> "Fields":
        """A nested object; an empty one where it is null or absent. Raises BadInput."""
        value = self.table.get(name) or {}
        if not isinstance(value, dict):
            raise self.wrong(f"{name} is {_short(value)}, not an object")
        return Fields(value, f"{self.where}, {name}")

    def items(self, name: str, length: int) -> list[Any] | None:
        """A list of that length, or None where it is null or absent. Raises BadInput."""
        value = self.table.get(name)
        if value is not None and (not isinstance(value, list) or len(value) != length):
            raise self.wrong(f"{name} must be a list with an entry for each of the {length} layers")
        return value

    def wrong(self, what: str) -> BadInput:
        return BadInput(f"{self.where}: {what}", "give the config.json that its publisher ships")


def read_fields(text: str) -> Fields:
    """The JSON object in a file, in a directory's config.json, or on stdin (``-``).

    Raises BadInput where there is none; never reads more than 4 MiB, nor waits on a pipe.
    """
    return fields_of(_bytes(text), "stdin" if text == "-" else text)


def fields_of(data: bytes, where: str) -> Fields:
    """The JSON object in the bytes. Raises BadInput where there is none."""
    try:
        value = parse_json(data, lenient=True)
    except NotJson as error:
        what, remedy = recognise(data[:512])
        if what in (UNKNOWN, JSON_TEXT):
            raise BadInput(f"{where} is no JSON: {error}", "give a Hugging Face config.json") from None
        raise BadInput(f"{where} is no JSON but {what}", remedy) from None
    if not isinstance(value, dict):
        raise BadInput(f"{where} holds no JSON object", "give a Hugging Face config.json")
    return Fields(value, where)


def _bytes(text: str) -> bytes:
    data = sys.stdin.buffer.read(_LARGEST_FILE + 1) if text == "-" else _file_bytes(Path(text))
    if len(data) > _LARGEST_FILE:
        raise BadInput(f"{text} is too large to be a config", "give a Hugging Face config.json")
    return data


def _file_bytes(path: Path) -> bytes:
    try:
        path = path.expanduser()
        if path.is_dir():
            path = _inside(path)
        if not path.is_file():  # a FIFO would keep us waiting for ever
            raise BadInput(f"{path} is no file", "give a config.json, or a directory that holds one")
        with path.open("rb") as file:
            return file.read(_LARGEST_FILE + 1)
    except OSError as error:
        said = f"{path} can't be read: {error.strerror}"
        raise BadInput(said, "check the path and its permissions") from error


def _inside(folder: Path) -> Path:
    """A directory's config.json. Raises BadInput where it has none."""
    if not (path := folder / "config.json").exists():
        raise BadInput(
            f"{folder} holds no config.json, and no GGUF or safetensors file",
            "give a model's file, or the directory that holds it",
        )
    return path


def _short(value: object) -> str:
    """A value for an error line: never longer than a line takes."""
    try:
        shown = json.dumps(value)
    except ValueError:  # an integer with more digits than Python prints
        shown = "an enormous number"
    return shown if len(shown) <= 40 else shown[:37] + "..."
