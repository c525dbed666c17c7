"""JSON from files that nobody vouches for: no duplicate names, no NaN, no endless numbers or nesting."""

import json
from typing import Any, NoReturn

_LONGEST_NUMBER = 20  # digits of 2**64


class NotJson(ValueError):
    """What is wrong with the text, in a few words."""


def parse_json(data: bytes) -> Any:
    """The value that the text stands for. Raises NotJson."""
    try:
        text = data.decode("utf-8")
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_number,
            parse_float=_fraction,
        )
    except UnicodeDecodeError:
        raise NotJson("it isn't UTF-8 text") from None
    except RecursionError:
        raise NotJson("it is nested too deep") from None
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg.lower()} at byte {error.pos}") from None


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
