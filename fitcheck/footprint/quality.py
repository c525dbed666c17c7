"""Quality beside bytes: what a format was measured to cost, and on which model."""

from bisect import bisect_left
from functools import lru_cache
from math import exp, log

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

_SIXTEEN_BITS = ("F32", "F16", "BF16", "MLX-BF16")

# Every GGUF mix was measured on this one, so it ranks them. Bits per weight are those of its files.
_SCALE = PERPLEXITY["llama-3-8b"]
_BITS = (("Q2_K", 3.16), ("Q3_K_M", 4.0), ("Q4_K_M", 4.89), ("Q5_K_M", 5.7), ("Q6_K", 6.56), ("Q8_0", 8.5))


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


def loss(format_name: str, bits_per_weight: float, model: Model) -> float:
    """Percent of perplexity that a format costs, to rank formats by: measured on Llama 3 8B.

    Nothing for the format that the weights were published in, and for 16 bits.
    A format that nobody measured there counts as the K mix of its bits per weight.
    """
    if format_name == model.published_in or format_name in _SIXTEEN_BITS:
        return 0.0
    measured = _SCALE.get(format_name)
    return _of_bits(bits_per_weight) if measured is None else measured


def _of_bits(bits: float) -> float:
    """Between two K mixes the logarithm of the loss falls evenly, and so on beyond the last."""
    right = min(max(bisect_left([known for _, known in _BITS], bits), 1), len(_BITS) - 1)
    (coarse, low), (fine, high) = _BITS[right - 1], _BITS[right]
    slope = log(_SCALE[fine] / _SCALE[coarse]) / (high - low)
    return _SCALE[coarse] * exp(slope * (bits - low))


def _nearest(format_name: str, model: Model) -> str | None:
    """The model itself where it was measured, else the one nearest in size."""
    if format_name in PERPLEXITY.get(model.name, ()):
        return model.name
    return next((name for name in _by_distance(model) if format_name in PERPLEXITY[name]), None)


@lru_cache(maxsize=512)
def _by_distance(model: Model) -> tuple[str, ...]:
    """The measured models that stand for others, the nearest in size first."""
    size = log(parameters(model))
    distance = {name: abs(size - log(like)) for name, (_, like) in _MEASURED.items() if like}
    return tuple(sorted(distance, key=lambda name: distance[name]))


def _percent(cost: float) -> str:
    """Two digits: +0.04 %, +2.4 %, +39 %, +310 %."""
    return f"+{cost:.1g} %" if cost < 0.1 else f"+{float(f'{cost:.2g}'):g} %"
