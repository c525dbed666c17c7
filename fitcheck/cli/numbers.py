"""Options that take a number: ``N`` in the help, and one plain sentence where a value is none."""

from collections.abc import Callable
from math import isfinite
from typing import Any, NamedTuple, TypeVar

import click

from fitcheck.errors import BadInput

Command = TypeVar("Command", bound=Callable[..., Any])
Number = int | float


class _Range(NamedTuple):
    parse: Callable[[str], Number]
    least: Number
    most: Number | None = None
    open: bool = False  # the least itself is too little

    def read(self, text: str) -> Number | None:
        """The number; None where the text is none, or one out of range."""
        try:
            number = self.parse(text)
        except ValueError:
            return None
        enough = number > self.least if self.open else number >= self.least
        return number if isfinite(number) and enough and number <= (self.most or number) else None

    def __str__(self) -> str:
        kind = "a whole number" if self.parse is int else "a number"
        if self.most is not None:
            return f"{kind} from {self.least} to {self.most}"
        return f"{kind} {'above' if self.open else 'of at least'} {self.least}"


def count_option(
    *names: str, least: int, most: int | None = None, metavar: str = "N", **option: Any
) -> Callable[[Command], Command]:
    """An option that takes a whole number."""
    return _option(_Range(int, least, most), *names, metavar=metavar, **option)


def amount_option(
    *names: str, least: float, most: float | None = None, metavar: str = "N", **option: Any
) -> Callable[[Command], Command]:
    """An option that takes any number."""
    return _option(_Range(float, least, most), *names, metavar=metavar, **option)


def rate_option(name: str, metavar: str, **option: Any) -> Callable[[Command], Command]:
    """An option that takes a number above zero."""
    return _option(_Range(float, 0, open=True), name, metavar=metavar, **option)


def _option(numbers: _Range, *names: str, **option: Any) -> Callable[[Command], Command]:
    def convert(context: click.Context, asked: click.Parameter, text: str | Number | None) -> Number | None:
        if not isinstance(text, str):  # not given: the default
            return text
        if (number := numbers.read(text)) is None:
            message = f"{max(asked.opts, key=len)} takes {numbers}, not {text[:40]!r}"
            raise BadInput(message, f"see: {context.command_path} --help")
        return number

    return click.option(*names, callback=convert, type=click.UNPROCESSED, **option)
