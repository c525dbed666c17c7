"""The vectors that a token's layers work on between their products."""

from functools import lru_cache

from fitcheck.schema.model import Experts, FeedForward, Layer, Model


@lru_cache(maxsize=512)
def numbers(model: Model, layers: range | None = None) -> int:
    """How long they are together, hidden and inner ones, in all layers or in those among ``layers``."""
    chosen = model.layers if layers is None else model.layers[layers.start : layers.stop]
    return sum(model.hidden_size + _inner(layer) for layer in chosen)


def _inner(layer: Layer) -> int:
    dense = sum(part.size for part in layer.ffns if isinstance(part, FeedForward))
    experts = (part for part in layer.ffns if isinstance(part, Experts))
    return dense + sum(part.active * part.size + part.shared_size for part in experts)
