"""QuestionBar: the model, and what is asked of it."""

from textual.app import ComposeResult
from textual.containers import Horizontal

from fitcheck.tui.field import Shown
from fitcheck.tui.field_row import FieldRow
from fitcheck.tui.fields import REQUEST_FIELDS
from fitcheck.tui.model_search import ModelSearch


class QuestionBar(Horizontal):
    """The search box with the request's fields beside it, or under it where it is narrow."""

    def __init__(self) -> None:
        super().__init__(id="question")

    def compose(self) -> ComposeResult:
        yield ModelSearch()
        with Horizontal(id="request"):
            for field in REQUEST_FIELDS:
                yield FieldRow(field, in_line=True)

    def show(self, shown: Shown) -> None:
        choices = shown.choices
        self.query_one(ModelSearch).show(shown.plan.model)
        for row in self.query(FieldRow):
            row.show(shown, getattr(choices, row.field.key), choices.changed(row.field.key))
