"""QuestionBar: the model, and what is asked of it."""

from textual.app import ComposeResult
from textual.containers import Container, Horizontal

from fitcheck.tui.field import Shown
from fitcheck.tui.field_row import FieldRow
from fitcheck.tui.model_search import ModelSearch
from fitcheck.tui.request_fields import REQUEST_FIELDS

_BESIDE = 2  # fields that have room beside the model on the narrowest screen


class QuestionBar(Container):
    """The search box with the request's fields, on two lines, or on one where it is wide."""

    def __init__(self) -> None:
        super().__init__(id="question")

    def compose(self) -> ComposeResult:
        fields = [FieldRow(field, in_line=True) for field in REQUEST_FIELDS]
        yield Horizontal(ModelSearch(), *fields[:_BESIDE], id="model-line")
        yield Horizontal(*fields[_BESIDE:], id="request")

    def show(self, shown: Shown) -> None:
        choices = shown.choices
        self.query_one(ModelSearch).show(shown.plan.model)
        for row in self.query(FieldRow):
            row.show(shown, getattr(choices, row.field.key), choices.changed(row.field.key))
