"""The time that a program may take."""

import time
from typing import NamedTuple

from fitcheck.errors import BadInput


class Deadline(NamedTuple):
    """When the time is up, by the monotonic clock, and how long it was."""

    at: float
    limit_s: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        return cls(time.monotonic() + seconds, seconds)

    @property
    def left_s(self) -> float:
        return self.at - time.monotonic()

    @property
    def passed(self) -> bool:
        return self.left_s <= 0

    def missed_by(self, name: str) -> BadInput:
        """What to say of a program that took longer."""
        return BadInput(
            f"{name} took longer than {self.limit_s:.0f} s",
            "allow it more with --time-limit, or ask for less with --depth and --prompt",
        )
