"""Tensors that a graph is given before it runs: masks, places to write, turns, blanks."""

from fitcheck.footprint.arena import Tape
from fitcheck.footprint.mechanisms import Cache
from fitcheck.footprint.mechanisms.compressed import compressed_inputs
from fitcheck.footprint.mechanisms.latent import CHOSEN
from fitcheck.schema.model import CompressedAttention, LatentAttention, Layer

_VALUES_TURNED = 64


def turned_together(cache: Cache) -> int:
    """Elements of a key that a quantized cache turns together: as many 64s, doubled, as divide a head."""
    width, together = cache.key // cache.heads, 64
    if width % together:
        return 0
    while width % (2 * together) == 0:
        together *= 2
    return together


def cache_inputs(
    layers: tuple[Layer, ...], caches: tuple[Cache, ...], tape: Tape
) -> dict[int | None, tuple[int, ...]]:
    """Positions, and for each kind of cache the places to write, the turns and the mask."""
    if any(isinstance(layer.mixer, CompressedAttention) for layer in layers):
        return _compressed(layers, tape)
    asking = sum(
        isinstance(one := layer.mixer, LatentAttention) and one.indexer is not None for layer in layers
    )
    if asking:
        return {None: _indexed(asking, layers, tape)}
    inputs_of: dict[int | None, tuple[int, ...]] = {}
    position = tape.take(1, uses=len(caches) or 1)
    for window in dict.fromkeys(cache.window for cache in caches):
        equal = [cache for cache in caches if cache.window == window]
        uses = len(equal)
        places = 1 if tape.flash else max(cache.value for cache in caches) or 1
        inputs = [tape.take(1, width=8, uses=uses), tape.take(places, width=8, uses=uses)]
        if tape.quantized:
            sizes = (turned_together(equal[0]), _VALUES_TURNED if equal[0].value else 0)
            inputs += [tape.take(fixed=size * size, uses=uses) for size in sizes if size]
        inputs.append(tape.take(score=1, window=window, width=2 if tape.flash else 4, uses=uses))
        inputs_of[window] = (position, *inputs)
    return inputs_of


def _compressed(layers: tuple[Layer, ...], tape: Tape) -> dict[int | None, tuple[int, ...]]:
    """Of layers with a window and compressed rows before it."""
    mixer = next(one for layer in layers if isinstance(one := layer.mixer, CompressedAttention))
    uses = len(layers)
    mask = tape.take(score=1, window=mixer.window, width=2 if tape.flash else 4, uses=uses)
    turns = [tape.take(fixed=mixer.head_dim**2, uses=uses)] if tape.quantized else []
    places = (tape.take(1, uses=uses), tape.take(1, width=8, uses=uses))
    compressed_inputs([layer.mixer for layer in layers], tape)
    return {mixer.window: (mask, *turns, *places)}


def _indexed(asking: int, layers: tuple[Layer, ...], tape: Tape) -> tuple[int, ...]:
    """Of layers that choose among cells: a second mask, a turn, and a blank for each that uses a choice."""
    uses, width = len(layers), 2 if tape.flash else 4
    tape.shares = asking < len(layers)
    turn = tape.take(fixed=128 * 128, uses=asking)
    places = (tape.take(1, uses=uses), tape.take(1, width=8, uses=uses), tape.take(1, width=8, uses=asking))
    tape.blanks.append(tape.take(score=1, most=CHOSEN))
    masks = tape.take(score=1, width=2, uses=asking), tape.take(score=1, width=width, uses=uses)
    for _ in range((uses if tape.shares else asking) - 1):
        tape.blanks.append(tape.take(score=1, most=CHOSEN))
    return turn, *places, *masks
