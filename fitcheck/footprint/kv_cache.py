"""The KV cache and recurrent state, to the byte, as llama.cpp allocates them.

Rules from src/llama-context.cpp, llama-kv-cache.cpp, llama-kv-cache-iswa.cpp
and llama-memory-recurrent.cpp of b11434: a slot's context grows to 256 cells,
windowed layers keep a window and one micro-batch, latent attention keeps no
values, and recurrent state is F32 whatever the context.
"""

from collections import Counter
from functools import lru_cache
from typing import NamedTuple

from fitcheck.errors import BadInput, UnknownName
from fitcheck.footprint.formats import WEIGHT_TYPES, WeightType, tensor_bytes
from fitcheck.footprint.mechanisms import Cache
from fitcheck.footprint.tensors import Layout, kinds_of, layout, mechanisms_by_kind
from fitcheck.schema.model import Model
from fitcheck.schema.request import FlashAttention

KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
CELL_PADDING = 256


class OwnedCache(NamedTuple):
    """Layers that keep the same cache: elements of a key and a value row, cells over all slots."""

    layers: int
    cells: int
    key: int
    value: int
    window: int | None
    bytes: int


def kv_bytes(
    model: Model,
    context: int,
    kv_type: str = "f16",
    *,
    slots: int = 1,
    ubatch: int = 512,
    flash_attention: FlashAttention = "auto",
    unified: bool = False,
) -> int:
    """Bytes of the KV cache and the recurrent state of ``slots`` sequences.

    ``context`` counts cells over all slots. Each slot has its own part of
    them, unless the cache is unified (llama-server's default when nobody asks
    for a number of slots). Raises BadInput or UnknownName.
    """
    size = state_bytes(model, slots)
    for row in stored_caches(model, kv_type, flash_attention):
        size += row.layers * row.cell_bytes * cells(row.cache, context, slots, ubatch, unified)
    return size


def owned_caches(
    model: Model,
    context: int,
    kv_type: str = "f16",
    *,
    slots: int = 1,
    ubatch: int = 512,
    flash_attention: FlashAttention = "auto",
    unified: bool = False,
) -> tuple[OwnedCache, ...]:
    """The caches that layers keep, equal ones together. Arguments as of kv_bytes."""
    rows = []
    for cache, layers, value, cell_bytes in stored_caches(model, kv_type, flash_attention):
        kept = cells(cache, context, slots, ubatch, unified)
        rows.append(OwnedCache(layers, kept, cache.key, value, cache.window, layers * kept * cell_bytes))
    return tuple(rows)


class StoredCache(NamedTuple):
    """Layers that keep the same cache, whatever the context: a row of values, and bytes of a cell of one."""

    cache: Cache
    layers: int
    value: int
    cell_bytes: int


@lru_cache(maxsize=1024)
def stored_caches(model: Model, kv_type: str, flash_attention: FlashAttention) -> tuple[StoredCache, ...]:
    """The caches that layers keep for themselves. Raises what kv_bytes does."""
    kind, known = find_kv_type(kv_type), layout(model)
    _check_type(kind, known, flash_attention)
    rows = []
    for cache, layers in known.caches:
        if cache.owned:
            value = stored_value_width(model, cache, flash_attention)
            size = tensor_bytes(kind, cache.key, 1) + tensor_bytes(kind, value, 1)
            rows.append(StoredCache(cache, layers, value, size))
    return tuple(rows)


def stored_value_width(model: Model, cache: Cache, flash_attention: FlashAttention) -> int:
    """Elements of a row of values; without flash attention they are padded to the widest layer's."""
    widest = layout(model).widest_value if flash_attention == "off" else 0
    return max(cache.value, widest) if cache.value and not cache.apart else cache.value


def _check_type(kind: WeightType, known: Layout, flash_attention: FlashAttention) -> None:
    """Refuse what llama_init_from_model refuses: a block across two heads, blocks of transposed values."""
    name = kind.name.lower()
    if kind.block_weights > 1 and flash_attention == "off":
        raise BadInput(f"{name} values need flash attention", "use --flash-attn on, or --kv-type f16")
    for cache, _ in known.caches:
        for width in (cache.key // cache.heads, cache.value // cache.heads):
            if width % kind.block_weights:
                raise BadInput(f"blocks of {name} don't divide heads of {width}", "use --kv-type f16")


def state_bytes(model: Model, slots: int = 1) -> int:
    """Bytes of recurrent and convolution state, F32 and one for each slot."""
    return 4 * layout(model).state_elements * slots


@lru_cache(maxsize=4096)
def kv_read_bytes(
    model: Model, depth: int, kv_type: str = "f16", layers: range | None = None, cards: int = 1
) -> int:
    """Bytes of cache and state that one decode step reads with ``depth`` tokens in the cache.

    Of these layers, or of all; on one of ``cards`` that share every layer. A
    layer that borrows another's cache reads it again.
    """
    kind = find_kv_type(kv_type)
    state, caches = _read_by(model, layers)
    total = 4 * -(-state // cards)
    for whole, count in caches:
        cache = part_of(whole, cards)
        rows = count * (depth // cache.ratio if cache.window is None else min(depth, cache.window))
        total += tensor_bytes(kind, cache.key, rows) + tensor_bytes(kind, cache.value, rows)
    return total


def part_of(cache: Cache, cards: int) -> Cache:
    """What one of so many cards keeps of a cache: its heads, one at least, which several may then hold."""
    if cards == 1:
        return cache
    heads = -(-cache.heads // cards)
    key, value = (width // cache.heads * heads for width in (cache.key, cache.value))
    return cache._replace(key=key, value=value, heads=heads)


@lru_cache(maxsize=4096)
def _read_by(model: Model, layers: range | None) -> tuple[int, tuple[tuple[Cache, int], ...]]:
    """Elements of state, and the caches with how many of the layers read such a one."""
    if layers is None:
        return layout(model).state_elements, layout(model).caches
    asked = Counter(kinds_of(model)[1][layers.start : layers.stop])
    described = mechanisms_by_kind(model)
    state, caches = 0, Counter[Cache]()
    for kind, count in asked.items():
        for part in described[kind]:
            state += count * part.state
            for cache in part.caches:
                caches[cache] += count
    return state, tuple(caches.items())


def cells(cache: Cache, context: int, slots: int, ubatch: int, unified: bool = False) -> int:
    """Cells a layer keeps, all slots together."""
    whole = pad_context(max(pad_context(context) // (1 if unified else slots), 1))
    shared = unified and not cache.each_slot
    parts = 1 if shared else slots
    if cache.window is None:
        return parts * pad_context(-(-whole // cache.ratio))
    reach = cache.window * (slots if shared else 1) + ubatch
    return parts * pad_context(min(whole, reach))


def pad_context(context: int) -> int:
    """The next multiple of 256 cells."""
    return -(-context // CELL_PADDING) * CELL_PADDING


def find_kv_type(name: str) -> WeightType:
    """The type of cache elements of that name, or UnknownName."""
    if name.casefold() not in KV_TYPES:
        raise UnknownName(f"no KV type is called {name[:40]!r}", f"use one of: {', '.join(KV_TYPES)}")
    return WEIGHT_TYPES[name.upper()]
