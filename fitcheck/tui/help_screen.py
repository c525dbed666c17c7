"""HelpScreen: the keys and the signs, on one page."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from fitcheck.tui.base_screen import Dialogue

_KEYS = (
    ("Where to go", ""),
    ("/", "search a model or a .gguf file; ctrl+s stars it"),
    ("m  M", "the machine's fields; another machine"),
    ("f  esc", "the formats"),
    ("tab", "the next field, table or bar"),
    ("w", "what can run here: every model of the catalogue"),
    ("c", "this machine beside another"),
    ("n", "what a machine would need for a wished speed"),
    ("v", "measure: probe, bench, verify"),
    ("x  y  Y", "export; copy the command line; the engine's flags"),
    ("In a field", ""),
    ("← →  h l", "one step less or more; every step plans again"),
    ("enter, a digit", "type a value; escape puts the old one back"),
    ("r  R", "reset the field; reset the whole machine"),
    ("GPU: enter  ← →", "pick a card; one fewer or one more of it"),
    ("layers, experts", "a number or auto; where a card is there"),
    ("[ ]", "half or twice the context, from anywhere"),
    ("In a table", ""),
    ("↑ ↓  j k  g G", "move; first and last"),
    ("s  o", "sort by the next column; hide what does not fit"),
    ("enter  e", "take the format's bytes apart, line by line"),
    ("Signs", ""),
    ("✓ ~ ✗", "fits, just fits, does not fit"),
    ("★ *", "the format to take; only for models trained ternary"),
    ("37/48 e12", "layers on GPUs; the experts of 12 layers in RAM"),
    ("●", "changed by hand"),
    ("⢕ ┊ ◆", "the interval; the context asked for; a measured speed"),
    ("Else", ""),
    ("t", "light or dark; more themes in the palette"),
    ("ctrl+p", "command palette"),
    ("q", "leave; the session is remembered"),
)
_WIDTH = 16


class HelpScreen(Dialogue[None]):
    """Keys on the left, what they do on the right."""

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box -high") as box:
            box.border_title = "fitcheck: keys"
            box.border_subtitle = "esc back"
            for key, what in _KEYS:
                yield Static(_line(key, what))

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()


def _line(key: str, what: str) -> Content:
    if not what:
        return Content.styled(key, "bold underline")
    return Content.assemble((f"{key:<{_WIDTH}}", "bold $accent"), what)
