"""Latest: work beside the interface, of which only the newest matters."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from textual.dom import DOMNode

Result = TypeVar("Result")


class Latest(Generic[Result]):
    """One piece of work at a time in a thread; of what is asked for meanwhile, the newest is done next.

    A key that is held down asks faster than answers come: each answer is of
    use when it comes, and the last is always that to the last question.
    """

    def __init__(self, owner: DOMNode) -> None:
        self._owner = owner
        self._next: tuple[Callable[[], Result], Callable[[Result], object]] | None = None
        self._runs = False
        self._dropped = 0  # counts up: an answer from before that is of no use

    @property
    def pending(self) -> bool:
        """Whether something newer waits for its turn."""
        return self._next is not None

    def ask(self, work: Callable[[], Result], take: Callable[[Result], object]) -> None:
        """Have ``work`` done in a thread, and its result taken where the widgets live."""
        self._next = (work, take)
        if not self._runs:
            self._runs = True
            self._owner.run_worker(self._run())

    def drop(self) -> None:
        """Forget what was asked, the answer that is under way too."""
        self._next = None
        self._dropped += 1

    async def _run(self) -> None:
        try:
            while self._next is not None:
                (work, take), self._next = self._next, None
                before = self._dropped
                result = await asyncio.to_thread(work)
                if before == self._dropped:
                    take(result)
        finally:
            self._runs = False
