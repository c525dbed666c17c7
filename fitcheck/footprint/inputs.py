"""Tensors that a graph is given before it runs: masks, places to write, turns, blanks."""

from fitcheck.footprint.arena import Tape
from fitcheck.footprint.mechanisms import Cache, describe
from fitcheck.footprint.schedules.latent import CHOSEN
from fitcheck.schema.model import CompressedAttention, LatentAttention, Layer, Model

_VALUES_TURNED = 64


def turned_together(cache: Cache) -> int:
    """Elements of a key that a quantized cache turns together: as many 64s, doubled, as divide a head."""
    width, together = cache.key // cache.heads, 64
    if width % together:
        return 0
    while width % (2 * together) == 0:
        together *= 2
    return together


def read_cache(layer: Layer, hidden: int) -> Cache | None:
    """The layer's own cache, the first where a sparse one keeps more beside it."""
    return None if layer.mixer is None else next(iter(describe(layer.mixer, hidden).caches), None)


def cache_inputs(model: Model, layers: tuple[Layer, ...], tape: Tape) -> dict[int | None, tuple[int, ...]]:
    """Positions, and for each kind of cache the places to write, the turns and the mask."""
    inputs_of: dict[int | None, tuple[int, ...]] = {}
    caches = [cache for layer in layers if (cache := read_cache(layer, model.hidden_size))]
    position = tape.take(1, uses=len(caches) or 1)
    for window in dict.fromkeys(cache.window for cache in caches):
        equal = [cache for cache in caches if cache.window == window]
        uses = len(equal)
        places = 1 if tape.flash else max(cache.value for cache in equal) or 1
        inputs = [tape.take(1, width=8, uses=uses), tape.take(places, width=8, uses=uses)]
        if tape.quantized:
            sizes = (turned_together(equal[0]), _VALUES_TURNED if equal[0].value else 0)
            inputs += [tape.take(fixed=size * size, uses=uses) for size in sizes if size]
        inputs.append(tape.take(score=1, window=window, width=2 if tape.flash else 4, uses=uses))
        inputs_of[window] = (position, *inputs)
    _chosen_inputs(model, tape)
    return inputs_of


def _chosen_inputs(model: Model, tape: Tape) -> None:
    """What layers that choose among cells need besides: other caches' masks, and a blank tensor each."""
    kinds = [layer.mixer for layer in model.layers]
    asking = [one for one in kinds if isinstance(one, (LatentAttention, CompressedAttention)) and one.indexer]
    ratios = [one.ratio for one in kinds if isinstance(one, CompressedAttention) and one.ratio]
    indexed = {getattr(one, "ratio", None) or 1 for one in asking}
    for ratio in (*indexed, *sorted(set(ratios))):
        tape.take(score=1, ratio=ratio, width=2 if tape.flash else 4)
    if asking:
        _blanks(model, tape, asking[0], len(asking))


def _blanks(model: Model, tape: Tape, first: LatentAttention | CompressedAttention, asking: int) -> None:
    """One for each layer that looks at chosen cells, its own choice or an earlier layer's."""
    compressed = isinstance(first, CompressedAttention)
    tape.shares = not compressed and asking < len(model.layers)
    ratio = getattr(first, "ratio", None) or 1
    for _ in range(len(model.layers) if tape.shares else asking):
        size = 2 if compressed and tape.flash else 4
        tape.blanks.append(tape.take(score=1, ratio=ratio, most=CHOSEN, width=size))
    tape.take(fixed=128 * 128)  # turns an indexer's keys
