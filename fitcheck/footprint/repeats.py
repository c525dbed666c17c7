"""Which layers of a model stand for all in its graph, and in which order the engine builds their parts."""

from collections import Counter

from fitcheck.footprint.tensors import kinds_of
from fitcheck.schema.model import CompressedAttention, FeedForward, LatentAttention, Layer, Model


def built_at_once(layers: tuple[Layer, ...]) -> list[object]:
    """The parts that the engine adds to the graph as they are made, in order.

    Others, dense feed-forward blocks above all, come with what reads them.
    """
    return [
        part
        for layer in layers
        for part in (layer.mixer, layer.beside, *layer.ffns)
        if part is not None and not isinstance(part, FeedForward)
    ]


def standing_for_all(model: Model) -> tuple[int, ...]:
    """The kinds of as many layers as show each three times, in order, and of the last.

    All of them where each adds to what later ones read, or has a blank of its own.
    """
    kinds, order = kinds_of(model)
    if model.residual_scores or any(map(_chooses, kinds)):
        return order
    left = {kind: min(3, count) for kind, count in Counter(order).items()}
    for number, kind in enumerate(order, 1):
        left[kind] -= 1
        if max(left.values()) <= 0:
            return order[:number] + (order[-1:] if number < len(order) else ())
    return order


def _chooses(layer: Layer) -> bool:
    """Whether it looks at cells that an indexer chooses."""
    mixer = layer.mixer
    return isinstance(mixer, (LatentAttention, CompressedAttention)) and mixer.indexer is not None
