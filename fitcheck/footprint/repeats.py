"""Which layers of a model stand for all in its graph, and in which order the engine builds their parts."""

from collections import Counter

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


def standing_for_all(model: Model) -> tuple[Layer, ...]:
    """As many layers as show each kind three times, in order, and the last.

    All of them where each adds to what later ones read, or has a blank of its own.
    """
    kinds, seen, layers = Counter(model.layers), Counter[Layer](), model.layers
    if model.residual_scores or any(_chooses(layer) for layer in kinds):
        return layers
    for number, layer in enumerate(layers, 1):
        seen[layer] += 1
        if all(seen[kind] >= min(3, count) for kind, count in kinds.items()):
            return layers[:number] + (layers[-1:] if number < len(layers) else ())
    return layers


def _chooses(layer: Layer) -> bool:
    """Whether it looks at cells that an indexer chooses."""
    mixer = layer.mixer
    return isinstance(mixer, (LatentAttention, CompressedAttention)) and mixer.indexer is not None
