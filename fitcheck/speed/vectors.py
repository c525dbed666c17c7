"""The vectors that a token's layers work on between their products."""

from collections.abc import Sequence
from functools import lru_cache

from fitcheck.footprint.engine_buffers import inner_size
from fitcheck.schema.model import Layer, Model


@lru_cache(maxsize=512)
def numbers(model: Model, layers: range | None = None) -> int:
    """How long they are together, hidden and inner ones, in all layers or in those among ``layers``."""
    return sum(model.hidden_size + sum(map(inner_size, layer.ffns)) for layer in among(model, layers))


def among(model: Model, layers: range | None) -> Sequence[Layer]:
    """Those layers, or all."""
    return model.layers if layers is None else model.layers[layers.start : layers.stop]
