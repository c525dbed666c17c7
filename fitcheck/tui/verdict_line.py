"""VerdictLine: the answer in a sentence, or what is wrong with the question."""

from textual.content import Content
from textual.widgets import Static

from fitcheck.schema.plan import FormatPlan, Plan


class VerdictLine(Static):
    """The plan's verdict, then why the selected format fits or doesn't."""

    def __init__(self) -> None:
        super().__init__("", id="verdict")

    def show(self, plan: Plan, row: FormatPlan) -> None:
        about = f"{row.format}: {row.why}"
        self.update(Content.assemble((plan.verdict, "bold"), "\n", (about, "$text-muted")), layout=False)

    def show_problem(self, problem: str) -> None:
        self.update(Content.styled(f"! {problem}", "$error bold"), layout=False)
