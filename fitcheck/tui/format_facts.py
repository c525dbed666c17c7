"""FormatFacts: prefill, quality and what to tell the engine, for the selected format."""

from textual.content import Content
from textual.widgets import Static

from fitcheck.schema.plan import FormatPlan, Plan
from fitcheck.units import duration, rate, tokens


class FormatFacts(Static):
    """A line each, those that most depends on first: where it is narrow the last ones go."""

    def __init__(self) -> None:
        super().__init__("", id="facts")

    def show(self, plan: Plan, row: FormatPlan) -> None:
        lines = (("prompt", prefill_text(plan, row)), ("type", _flags(row)), ("quality", _quality(row)))
        told = [_line(word, text) for word, text in lines if text]
        self.update(Content("\n").join(told), layout=False)


def _line(word: str, text: str) -> Content:
    return Content.assemble((f"{word:<8}", "$text-muted"), text)


def prefill_text(plan: Plan, row: FormatPlan) -> str:
    """How fast a prompt is taken in, and the wait for the first token."""
    if row.prefill_tokens_per_s is None or row.ttft_s is None:
        return "unmeasured" if row.fits != "no" else ""
    prompt = tokens(plan.request.prompt or plan.request.context or 0)
    return f"{rate(row.prefill_tokens_per_s)} tokens/s; a prompt of {prompt} takes {duration(row.ttft_s)}"


def flags_text(row: FormatPlan) -> str:
    """What to type behind the engine's name."""
    return " ".join(row.placement.flags) if row.placement else ""


def _flags(row: FormatPlan) -> str:
    flags = flags_text(row)
    return f"{row.engine}: {flags}  (Y copies)" if flags else ""


def _quality(row: FormatPlan) -> str:
    return "; ".join(filter(None, (row.quality_note, *row.notes)))
