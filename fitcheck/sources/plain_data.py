"""Frozen dataclasses to plain JSON values and back, each checked against its own type hints.

Every object carries the name of its class, and leaves out what has its default
value. Equal neighbours in a tuple stand once with their number, so that a
model of 80 equal layers takes no more room than one of two.
"""

import math
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from itertools import groupby
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Value = TypeVar("Value")

_CLASS, _TIMES, _OF = "is", "times", "of"
_MOST_TIMES = 1 << 12  # no model has as many layers


def encode(value: Any) -> Any:
    """A dataclass, tuple or plain value as JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        kept = {f.name: getattr(value, f.name) for f in fields(value)}
        plain = {f.name for f in fields(value) if f.default is not MISSING and kept[f.name] == f.default}
        shown = {name: encode(held) for name, held in kept.items() if name not in plain}
        return {_CLASS: type(value).__name__, **shown}
    if isinstance(value, tuple):
        return [_repeated(item, sum(1 for _ in same)) for item, same in groupby(value)]
    return value


def decode(hint: type[Value], value: Any) -> Value:
    """The dataclass that ``encode`` wrote. Raises ValueError for anything else."""
    found: Value = _decode(hint, value)
    return found


def _repeated(item: Any, times: int) -> Any:
    return encode(item) if times == 1 else {_TIMES: times, _OF: encode(item)}


def _decode(hint: Any, value: Any) -> Any:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return _one_of(get_args(hint), value)
    if origin is Literal:
        return _checked(value in get_args(hint), value)
    if origin is tuple:
        return _tuple(get_args(hint)[0], value)
    if is_dataclass(hint):
        return _object(hint, value)
    return _plain(hint, value)


def _plain(hint: Any, value: Any) -> Any:
    if hint is float:
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return float(_checked(number, value))
    return _checked(isinstance(value, hint) and not (hint is int and isinstance(value, bool)), value)


def _checked(good: bool, value: Any) -> Any:
    if not good:
        raise ValueError(f"{str(value)[:40]!r} is of another kind")
    return value


def _one_of(hints: tuple[Any, ...], value: Any) -> Any:
    for hint in hints:
        try:
            return _decode(hint, value)
        except ValueError:
            continue
    return _checked(False, value)


def _tuple(hint: Any, value: Any) -> tuple[Any, ...]:
    found: list[Any] = []
    for item in _checked(isinstance(value, list), value):
        times = item.get(_TIMES) if isinstance(item, dict) else None
        if times is None:
            found.append(_decode(hint, item))
        else:
            _checked(isinstance(times, int) and 0 < times <= _MOST_TIMES, times)
            found += [_decode(hint, item.get(_OF))] * times
    return tuple(found)


def _object(hint: Any, value: Any) -> Any:
    if not isinstance(value, dict) or value.get(_CLASS) != hint.__name__:
        raise ValueError(f"no {hint.__name__}")
    hints = _hints(hint)
    held = {name: item for name, item in value.items() if name != _CLASS}
    if unknown := held.keys() - hints.keys():
        raise ValueError(f"{hint.__name__} has no {sorted(unknown)[0]}")
    try:
        return hint(**{name: _decode(hints[name], item) for name, item in held.items()})
    except TypeError as error:  # a field is missing
        raise ValueError(str(error)) from error


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
