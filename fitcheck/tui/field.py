"""What a field is, and how its values follow each other.

A field's key is the name of the choice it sets.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fitcheck.errors import BadInput
from fitcheck.schema.plan import Plan
from fitcheck.tui.choices import Choices
from fitcheck.tui.world import Question


@dataclass(frozen=True, slots=True)
class Shown:
    """What the widgets know when they show a field: the newest question, and the last answer.

    The answer may be one to an earlier question: cards take a moment to plan for.
    """

    choices: Choices
    question: Question
    plan: Plan


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that can be turned. ``parse`` None: it can be stepped, not typed."""

    key: str
    label: str
    show: Callable[[Shown], str]
    step: Callable[[Shown, int], Any]  # the next value up (+1) or down (-1)
    parse: Callable[[str], Any] | None = None
    hint: str = ""
    opens: str = ""  # the screen's action that chooses a value: on Enter, and where a step leads to None
    when: Callable[[Shown], bool] = lambda shown: True  # whether there is anything to turn


def along(ladder: Sequence[Any], value: Any, direction: int) -> Any:
    """The rung above (+1) or below (-1) a value that need not be on the ladder."""
    if value is None:
        return ladder[len(ladder) // 2]
    if direction > 0:
        return ladder[min(bisect_right(ladder, value), len(ladder) - 1)]
    return ladder[max(bisect_left(ladder, value) - 1, 0)]


def around(ring: Sequence[Any], value: Any, direction: int) -> Any:
    """The next value of a ring; a stranger leads to the first."""
    return ring[(ring.index(value) + direction) % len(ring)] if value in ring else ring[0]


def count(things: str, most: int) -> Callable[[str], int]:
    """A parser of whole numbers from 1 to ``most``."""

    def parse(text: str) -> int:
        if not text.strip().isdecimal() or not 1 <= int(text) <= most:
            raise BadInput(f"{text[:40]!r} is no number of {things}", f"write a number from 1 to {most}")
        return int(text)

    return parse


def over(value: float | None, unit: float) -> float | None:
    return None if value is None else value / unit
