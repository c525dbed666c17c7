"""SpeedPlot: tokens/s against the tokens in the cache, with its band and what was measured."""

from collections.abc import Sequence

from textual.content import Content
from textual.widget import Widget

from fitcheck.schema.plan import FormatPlan
from fitcheck.schema.request import Request
from fitcheck.tui.plot import Kind, Mark, Plot, Point
from fitcheck.tui.sweep import SweepPoint
from fitcheck.units import rate, tokens

_STYLES: dict[Kind, str] = {
    "blank": "",
    "axis": "$text-muted",
    "band": "$primary 70%",
    "line": "$primary",
    "asked": "$warning",
    "measured": "$success bold",
}
_LEAST_HEIGHT, _LEAST_WIDTH = 4, 20


class SpeedPlot(Widget):
    """The curve of the selected format."""

    def __init__(self) -> None:
        super().__init__(id="speed")
        self._plot: Plot | None = None
        self._why = ""

    def show(
        self, row: FormatPlan, points: Sequence[SweepPoint], request: Request, marks: Sequence[Mark]
    ) -> None:
        """``request`` with its context, of which sequences that decode together have a share each."""
        asked = (request.context or 0) // request.batch
        curve = [Point(p.depth, p.rate.low, p.rate.expected, p.rate.high) for p in points]
        self._plot = Plot(curve, asked, marks) if len(curve) > 1 else None
        self._why = _unknown(row)
        self.border_title = _title(request.batch)
        self.border_subtitle = _subtitle(row, asked, marks)
        self.refresh()

    def render(self) -> Content:
        width, height = self.size
        if self._plot is None:
            return Content.styled(self._why, "$text-muted")
        if width < _LEAST_WIDTH or height < _LEAST_HEIGHT:
            return Content("")
        lines = self._plot.lines(width, height)
        return Content("\n").join(
            Content.assemble(*((run.text, _STYLES[run.kind]) for run in line)) for line in lines
        )


def _title(batch: int) -> str:
    if batch == 1:
        return "tokens/s by tokens in the cache"
    return f"tokens/s of {batch} sequences by tokens in the cache of each"


def _unknown(row: FormatPlan) -> str:
    """Why there is no curve."""
    return row.why if row.fits == "no" else "; ".join(row.notes) or "speed unknown"


def _subtitle(row: FormatPlan, asked: int, marks: Sequence[Mark]) -> str:
    speed = row.decode_tokens_per_s
    if speed is None:
        return ""
    measured = f"  ◆ measured {rate(marks[-1].value)} by fitcheck's kernels" if marks else ""
    band = f"⢕ {rate(speed.low)} to {rate(speed.high)}, limit {rate(speed.limit)}, {row.speed_basis}"
    return f"{band}  ┊ {tokens(asked)} asked{measured}"
