"""The words of a plan: why a format fits or not, and the verdict in one sentence."""

from collections import Counter
from collections.abc import Sequence

from fitcheck.budget import Budget, Pool
from fitcheck.footprint.quality import quality_of
from fitcheck.schema.model import Model
from fitcheck.schema.plan import Fits, FormatPlan, Placement
from fitcheck.units import GIB, gib, rate, tokens

_KINDS = {"ram": "RAM", "gpu": "GPU memory", "unified": "unified memory"}

NOT_TERNARY = "only for models trained ternary: rounding this one destroys it"


def why(fits: Fits, spare: int, longest: int, weights_bytes: int, place: Placement | None) -> str:
    """Why a format fits or doesn't, with the figures that decide it."""
    devices = place.devices if place else ()
    usable = sum(use.usable_bytes or 0 for use in devices)
    if fits != "no" and place and is_split(place):
        return f"fits with {layers_on_gpus(place)}"
    if fits == "yes":
        return f"fits with {gib(spare)} to spare"
    if fits == "tight":
        return f"fits with only {gib(spare)} to spare"
    if longest:
        return f"{gib(-spare)} short; a context of {tokens(longest)} fits"
    if usable and weights_bytes > usable:
        return f"the weights alone are {gib(weights_bytes - usable)} too large"
    return f"{gib(-spare)} short: no room for a cache and buffers beside the weights"


def is_split(place: Placement) -> bool:
    """Whether some layers, or some of their experts, stay in RAM beside a GPU."""
    return place.gpu_layers > 0 and (place.gpu_layers < place.layers_total or place.cpu_moe_layers > 0)


def layers_on_gpus(place: Placement) -> str:
    """``37 of 48 layers on the GPU``; experts in RAM are said."""
    cards = sum(use.kind == "gpu" for use in place.devices)
    where = "the GPU" if cards < 2 else f"{cards} GPUs"
    if place.cpu_moe_layers:
        return f"all layers on {where} and the experts of {place.cpu_moe_layers} of them in RAM"
    return f"{place.gpu_layers} of {place.layers_total} layers on {where}"


def quality_note(ternary: bool, model: Model, format_name: str) -> str | None:
    """What a format costs in quality, where that is beyond argument or was measured."""
    if ternary and not model.trained_ternary:
        return NOT_TERNARY
    if ternary:
        return "lossless: the model was trained ternary"
    if format_name == model.published_in:
        return "lossless: the model was published so"
    return quality_of(format_name, model)


def verdict(model: Model, budget: Budget, plans: Sequence[FormatPlan], best: FormatPlan | None) -> str:
    """One sentence that answers the question."""
    if best is not None:
        return _take(model, budget, best)
    trained = [p for p in plans if not p.needs_native_training]
    if not trained:
        return f"{model.name} was not trained ternary, and the formats asked for need that."
    fitting = [p for p in trained if p.fits != "no"]
    if run := [p for p in fitting if p.placement]:
        return f"{model.name} fits in {_memory(budget)} as {run[0].format}, at a speed nobody measured."
    if fitting:
        return _nobody_runs(fitting[0], f"{model.name} would fit in {_memory(budget)} as")
    ternary = [p for p in plans if p.needs_native_training]
    runnable = [p for p in trained if p.placement]
    smallest = min(runnable or trained, key=_total)
    if not runnable and smallest.why in smallest.notes:  # no size of memory would do
        return _nobody_runs(smallest, f"{model.name} can't run here as")
    return (
        _too_large(model, budget, smallest)
        + _ternary_too(min(ternary, key=_total, default=None))
        + _from_disk(smallest)
    )


def _nobody_runs(row: FormatPlan, start: str) -> str:
    """Where what is asked for has no engine, known or measured: the row's notes say why."""
    known = ": " if row.fits == "no" else ", but no engine that runs it here is known: "
    return f"{start} {row.format}{known}{'; '.join(row.notes)}."


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
        f"{model.name} {how} {_where(budget, best)}: take {best.format}, "
        f"{gib(best.total_bytes)} in all, with up to {tokens(best.max_context)} tokens of context{pace}."
    )


def _where(budget: Budget, best: FormatPlan) -> str:
    """The memory that holds it; where it lies in several, what lies where."""
    place = best.placement
    if place is None or not (budget.cards or budget.unified):
        return f"in {_memory(budget)}"
    if not place.gpu_layers:
        alone = f"in {gib(budget.ram.memory_bytes)} of RAM" if budget.ram else "in RAM"
        return f"{alone} with the CPU alone"
    if is_split(place):
        return f"in {_memory(budget)} with {layers_on_gpus(place)}"
    cards = [use.name for use in place.devices if use.kind == "gpu"]
    if not cards:
        return f"in {_memory(budget)}"
    return f"on {cards[0]}" if len(cards) == 1 else f"on {len(cards)} GPUs"


def _too_large(model: Model, budget: Budget, smallest: FormatPlan) -> str:
    """Nothing fits: say what is missing and how much memory would do."""
    pool = budget.ram or budget.main
    uses = smallest.placement.devices if smallest.placement else ()
    need = next((use.need_bytes for use in uses if use.name == pool.name), smallest.total_bytes)
    # The reserve doesn't grow beyond its cap, so need plus reserve is enough.
    enough = -(-(need + pool.reserve_bytes) // GIB)
    more = " of RAM" if budget.cards and budget.ram else ""
    return (
        f"{model.name} does not fit in {_memory(budget)}: {_remaining(budget)}, "
        f"and the smallest format, {smallest.format}, "
        f"needs {gib(smallest.total_bytes)}; {enough} GiB{more} would do"
    )


def _remaining(budget: Budget) -> str:
    pools = _pools(budget)
    usable, reserve = sum(p.usable_bytes for p in pools), sum(p.reserve_bytes for p in pools)
    return f"{gib(usable)} remain after {gib(reserve)} for the system"


def _from_disk(smallest: FormatPlan) -> str:
    """What happens to who tries it all the same."""
    speed = smallest.decode_tokens_per_s
    if speed is None:
        return ""
    return f" From the disk {smallest.format} would run at about {rate(speed.expected)} tokens/s."


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


def _pools(budget: Budget) -> tuple[Pool, ...]:
    if budget.unified:
        return (budget.unified,)
    return (*budget.cards, *((budget.ram,) if budget.ram else ()))


def _memory(budget: Budget) -> str:
    """``2 × 24.0 GiB of GPU memory and 64.0 GiB of RAM``: equal memories together."""
    sizes = Counter((gib(pool.memory_bytes), _KINDS[pool.kind]) for pool in _pools(budget))
    return " and ".join(
        f"{size} of {kind}" if count == 1 else f"{count} × {size} of {kind}"
        for (size, kind), count in sizes.items()
    )
