"""KeyQueue: one key at a time, each seen by the widget that the last one moved the focus to.

Textual forwards a key to the focused widget and looks for its binding when the
event has come back up. Keys that arrive in one read (a paste, a slow line, a
quick hand) are all forwarded before the first has come back: of ``/qwen`` the
``q`` would still be the table's, and quit.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic

from textual import events
from textual.app import App
from textual.message_pump import MessagePump

_LONGEST_S = 0.25  # a key whose way nobody saw the end of must not hold up the next one for ever


class KeyQueue:
    """Holds keys back until the one before has been handled, wherever that was."""

    def __init__(self, app: App[None], handle: Callable[[events.Key], Awaitable[None]]) -> None:
        self._app, self._handle = app, handle
        self._waiting: deque[events.Key] = deque()
        self._sent_at: float | None = None  # when the key that is under way was sent

    async def put(self, key: events.Key) -> None:
        """A key from the keyboard: handled now, or when those before it have been."""
        self._waiting.append(key)
        if self._sent_at is None or monotonic() - self._sent_at > _LONGEST_S:
            await self._send()

    async def _send(self) -> None:
        """Hand the next key to the app, and follow it."""
        if not self._waiting:
            self._sent_at = None
            return
        key, self._sent_at = self._waiting.popleft(), monotonic()
        first, screen = self._app.focused or self._app.screen, self._app.screen
        await self._handle(key)
        if key.is_forwarded:
            self._follow(first, key, screen)
        else:  # a binding with priority took it
            self._ended(screen)

    def _follow(self, node: MessagePump, key: events.Key, screen: MessagePump) -> None:
        """Queue up behind the key at each widget it bubbles to."""

        def seen() -> None:
            if node is self._app or key._stop_propagation or node._parent is None:
                self._ended(screen)
            else:
                self._follow(node._parent, key, screen)

        if not node.call_later(seen):  # it is closing: the key goes nowhere from here
            self._ended(screen)

    def _ended(self, screen: MessagePump) -> None:
        """The next one's turn; a screen that the key opened gets its focus first."""
        if self._app.screen is screen:
            self._app.call_later(self._send)
        else:
            self._app.screen.call_after_refresh(self._app.call_later, self._send)
