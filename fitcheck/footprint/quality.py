"""Quality beside bytes: what a format was measured to cost, and on which model."""

from functools import lru_cache
from math import log

from fitcheck.footprint.mixes import FORMATS
from fitcheck.footprint.quality_table import PERPLEXITY
from fitcheck.footprint.tensors import parameters
from fitcheck.schema.model import Model

# The measured models: what people call them, and their parameters where they stand for
# others of about that size. Llama 2, trained on 2e12 tokens where Llama 3 saw 15e12, loses half
# as much by rounding, so it stands for itself.
_MEASURED = {
    "llama-2-7b": ("Llama-2-7B", None),
    "llama-3-8b": ("Llama-3-8B", 8.0e9),
    "llama-3-70b": ("Llama-3-70B", 70.6e9),
}

_SIXTEEN_BITS = ("F32", "F16", "BF16")


@lru_cache(maxsize=16384)
def quality_of(format_name: str, model: Model) -> str | None:
    """The published cost, such as ``+2.8 % perplexity (Llama-3-8B)``; None where nobody measured.

    It is a cost of rounding after training. A model trained ternary is rounded
    by no format made for it, and what others cost it was not measured.
    """
    form = FORMATS.get(format_name)
    if form is None or form.ternary or model.trained_ternary or format_name in _SIXTEEN_BITS:
        return None
    measured = _nearest(format_name, model)
    if measured is None:
        return None
    return f"{_percent(PERPLEXITY[measured][format_name])} perplexity ({_MEASURED[measured][0]})"


def _nearest(format_name: str, model: Model) -> str | None:
    """The model itself where it was measured, else the one nearest in size."""
    if format_name in PERPLEXITY.get(model.name, ()):
        return model.name
    size = log(parameters(model))
    distance = {
        name: abs(size - log(stands_for))
        for name, (_, stands_for) in _MEASURED.items()
        if stands_for and format_name in PERPLEXITY[name]
    }
    return min(distance, key=lambda name: distance[name], default=None)


def _percent(cost: float) -> str:
    """Two digits: +0.04 %, +2.4 %, +39 %, +310 %."""
    return f"+{cost:.1g} %" if cost < 0.1 else f"+{float(f'{cost:.2g}'):g} %"
