"""Decode speed along the context, one format, by asking the planner at each depth."""

from dataclasses import dataclass, replace

from fitcheck.schema.plan import FormatPlan, Plan, TokenRate
from fitcheck.tui.world import Question


@dataclass(frozen=True, slots=True)
class SweepPoint:
    depth: int
    rate: TokenRate


def sweep(question: Question, row: FormatPlan, points: int) -> tuple[SweepPoint, ...]:
    """Speeds from an empty cache to the longest context that fits; none where the speed is unknown."""
    if row.decode_tokens_per_s is None:
        return ()
    longest = max(row.max_context, question.request.context or 0)
    if (batch := question.request.batch) > 1:
        longest = min(longest, question.model.context_max or longest) // batch
    depths = sorted({longest * step // (points - 1) for step in range(points)})
    rates = ((depth, _rate(question, row.format, depth)) for depth in depths)
    return tuple(SweepPoint(depth, rate) for depth, rate in rates if rate)


def _rate(question: Question, format_name: str, depth: int) -> TokenRate | None:
    asked = question.request
    # Sequences together must have room for what each of them holds.
    context = max(asked.context or 0, depth * asked.batch) if asked.batch > 1 else asked.context
    request = replace(asked, depth=depth, context=context or None, formats=(format_name,))
    answer = replace(question, request=request).answer()
    return answer.plans[0].decode_tokens_per_s if isinstance(answer, Plan) else None
