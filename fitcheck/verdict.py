"""The words of a plan: why a format fits or not, and the verdict in one sentence."""

from collections.abc import Sequence

from fitcheck.budget import Budget
from fitcheck.footprint.memory import Footprint
from fitcheck.footprint.quality import quality_of
from fitcheck.schema.model import Model
from fitcheck.schema.plan import Fits, FormatPlan
from fitcheck.units import GIB, gib, rate, tokens

NOT_TERNARY = "only for models trained ternary: rounding this one destroys it"


def why(need: Footprint, fits: Fits, longest: int, budget: Budget) -> str:
    """Why a format fits or doesn't, with the figures that decide it."""
    spare = budget.usable_bytes - need.total_bytes
    if fits == "yes":
        return f"fits with {gib(spare)} to spare"
    if fits == "tight":
        return f"fits with only {gib(spare)} to spare"
    if longest:
        return f"{gib(-spare)} short; a context of {tokens(longest)} fits"
    if need.weights_bytes > budget.usable_bytes:
        return f"the weights alone are {gib(need.weights_bytes - budget.usable_bytes)} too large"
    return f"{gib(-spare)} short: no room for a cache and buffers beside the weights"


def quality_note(ternary: bool, model: Model, format_name: str) -> str | None:
    """What a format costs in quality, where that is beyond argument or was measured."""
    if ternary and not model.trained_ternary:
        return NOT_TERNARY
    if ternary:
        return "lossless: the model was trained ternary"
    return quality_of(format_name, model)


def verdict(model: Model, budget: Budget, plans: Sequence[FormatPlan], best: FormatPlan | None) -> str:
    """One sentence that answers the question."""
    if best is not None:
        return _take(model, budget, best)
    trained = [p for p in plans if not p.needs_native_training]
    if not trained:
        return f"{model.name} was not trained ternary, and the formats asked for need that."
    fitting = [p for p in trained if p.fits != "no"]
    if fitting:
        return f"{model.name} fits in {_memory(budget)} as {fitting[0].format}, at a speed nobody measured."
    ternary = [p for p in plans if p.needs_native_training]
    return _too_large(model, budget, min(trained, key=_total)) + _ternary_too(
        min(ternary, key=_total, default=None)
    )


def _take(model: Model, budget: Budget, best: FormatPlan) -> str:
    """What to take where something fits."""
    speed = best.decode_tokens_per_s
    pace = (
        f" at about {rate(speed.expected)} tokens/s ({rate(speed.low)} to {rate(speed.high)})"
        if speed
        else ""
    )
    how = "fits" if best.fits == "yes" else "just fits"
    return (
        f"{model.name} {how} in {_memory(budget)}: take {best.format}, "
        f"{gib(best.total_bytes)} in all, with up to {tokens(best.max_context)} tokens of context{pace}."
    )


def _too_large(model: Model, budget: Budget, smallest: FormatPlan) -> str:
    """Nothing fits: say what is missing and how much memory would do."""
    # The reserve doesn't grow beyond its cap, so need plus reserve is enough.
    enough = -(-(smallest.total_bytes + budget.reserve_bytes) // GIB)
    return (
        f"{model.name} does not fit in {_memory(budget)}: {gib(budget.usable_bytes)} remain after "
        f"{gib(budget.reserve_bytes)} for the system, and the smallest format, {smallest.format}, "
        f"needs {gib(smallest.total_bytes)}; {enough} GiB would do"
    )


def _ternary_too(smallest: FormatPlan | None) -> str:
    """What articles promise: ternary weights, which this model was not trained for."""
    if smallest is None:
        return "."
    size = f"{smallest.format} would need {gib(smallest.total_bytes)}"
    if smallest.fits == "no":
        return f" (nor would ternary weights fit: {size}, and the model was not trained for them)."
    return f" (ternary weights would fit, {size}, but the model was not trained for them)."


def _total(row: FormatPlan) -> int:
    return row.total_bytes


def _memory(budget: Budget) -> str:
    return f"{gib(budget.memory_bytes)} of {budget.kind}"
