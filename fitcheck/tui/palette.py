"""What the command palette offers: every key of the screen that has a name, and what Textual brings."""

from collections.abc import Iterable, Iterator
from functools import partial

from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen

_OURS_INSTEAD = ("Quit", "Screenshot")  # keys of this app do the same, and more


def commands(
    app: App[None], screen: Screen[object], built_in: Iterable[SystemCommand]
) -> Iterator[SystemCommand]:
    """The screen's keys first, each by what it does."""
    named: dict[str, tuple[DOMNode, Binding]] = {}
    for node, binding, enabled, _tooltip in screen.active_bindings.values():
        if enabled and binding.description and not binding.system and node in (screen, app):
            named.setdefault(binding.action, (node, binding))
    for action, (node, binding) in named.items():
        key = app.get_key_display(binding)
        about = binding.tooltip or binding.description
        yield SystemCommand(binding.description, f"{about} ({key})", partial(app.run_action, action, node))
    yield from (command for command in built_in if command.title not in _OURS_INSTEAD)
