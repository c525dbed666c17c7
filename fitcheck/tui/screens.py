"""The screens that open over the main one, by name."""

from importlib import import_module

from textual.screen import Screen

SCREENS = {
    "catalogue": "CatalogueScreen",
    "compare": "CompareScreen",
    "needs": "NeedsScreen",
    "measure": "MeasureScreen",
    "help": "HelpScreen",
}


def make_screen(name: str) -> Screen[None]:
    """A new screen of that name."""
    module = import_module(f"fitcheck.tui.{name}_screen")
    screen: Screen[None] = getattr(module, SCREENS[name])()
    return screen
