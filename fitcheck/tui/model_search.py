"""ModelSearch: type to filter the catalogue; Enter takes a model, a file or any name fitcheck knows."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from fitcheck.schema.plan import ModelSummary
from fitcheck.sources.matching import Match, matches

STAR = "★"
_MOST = 500  # options: the whole catalogue, and an end to it


class SearchBox(Input):
    """The line itself; the arrow keys belong to the list under it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "list(1)", "Next", show=False),
        Binding("up", "list(-1)", "Previous", show=False),
        Binding("escape", "leave", "Back", show=False),
        Binding("ctrl+s", "star", "Favourite", show=False),
    ]

    class Asked(Message):
        """A key that the search as a whole answers."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    def action_list(self, by: int) -> None:
        self.post_message(self.Asked("down" if by > 0 else "up"))

    def action_leave(self) -> None:
        self.post_message(self.Asked("leave"))

    def action_star(self) -> None:
        self.post_message(self.Asked("star"))


class ModelSearch(Vertical):
    """A box that shows the model, and drops its list while it has the focus."""

    class Chosen(Message):
        """The name or path to resolve."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Starred(Chosen):
        """Make it a favourite, or no longer one."""

    class Left(Message):
        """Nothing was chosen: the focus may go on."""

    def __init__(self) -> None:
        super().__init__(id="model-search")
        self._model = ""
        self._names: Sequence[str] = ()
        self._aliases: Sequence[tuple[str, str]] = ()
        self._favourites: Sequence[str] = ()
        self._found: list[Match] = []

    def compose(self) -> ComposeResult:
        yield SearchBox(
            id="model", compact=True, placeholder="model: 70b, qwen3-32b, file.gguf", select_on_focus=True
        )
        yield OptionList(id="model-list", compact=True, markup=False)

    def on_mount(self) -> None:
        self._box.cursor_blink = False
        self._list.border_subtitle = "enter takes it, ctrl+s stars it"
        self._list.display = False
        self._list.can_focus = False

    def know(
        self, names: Sequence[str], aliases: Sequence[tuple[str, str]], favourites: Sequence[str]
    ) -> None:
        """The catalogue to search, and which of it to list first."""
        self._names, self._aliases, self._favourites = names, aliases, favourites
        if self._list.display:
            self._filter(self._box.value)

    def show(self, model: ModelSummary) -> None:
        self._model = model.name
        if not self._box.has_focus:
            self._box.value = model.name

    @property
    def _box(self) -> SearchBox:
        return self.query_one(SearchBox)

    @property
    def _list(self) -> OptionList:
        return self.query_one(OptionList)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self._filter("")
        self._list.display = True

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        self._list.display = False
        self._box.value = self._model

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self._box.has_focus:
            self._filter("" if event.value == self._model else event.value)

    def _filter(self, text: str) -> None:
        self._found = matches(text, self._names, self._aliases, self._favourites)[:_MOST]
        self._list.clear_options()
        self._list.add_options([Option(self._label(match)) for match in self._found])
        if self._found:
            names = [match.name for match in self._found]
            self._list.highlighted = names.index(self._model) if not text and self._model in names else 0
        else:
            self.say("none of that name; enter takes a file, a tag or hf:owner/repo as typed")

    def say(self, words: str) -> None:
        """Words in the place of names, where there are none to choose from."""
        self._found = []
        self._list.clear_options()
        self._list.add_option(Option(words, disabled=True))

    def _label(self, match: Match) -> str:
        star = f"{STAR} " if match.name in self._favourites else "  "
        return f"{star}{match.name}{f'  ({match.alias})' if match.alias else ''}"

    def on_search_box_asked(self, event: SearchBox.Asked) -> None:
        event.stop()
        if event.what == "down":
            self._list.action_cursor_down()
        elif event.what == "up":
            self._list.action_cursor_up()
        elif event.what == "star" and self._highlighted:
            self.post_message(self.Starred(self._highlighted.name))
        elif event.what == "leave":
            self.post_message(self.Left())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter takes the highlighted name; what matches none is resolved as typed (a file, a tag)."""
        event.stop()
        match = self._highlighted
        typed = event.value.strip()
        if match and "/" not in typed and not typed.lower().endswith(".gguf"):
            self._choose(match)
        elif typed:
            self.post_message(self.Chosen(typed))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._choose(self._found[event.option_index])

    def _choose(self, match: Match) -> None:
        self.post_message(self.Chosen(match.name))

    @property
    def _highlighted(self) -> Match | None:
        index = self._list.highlighted
        return self._found[index] if index is not None and index < len(self._found) else None
