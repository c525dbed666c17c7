"""What must be resident: weights, cache, compute buffers, and the engine itself."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from fitcheck.errors import BadInput
from fitcheck.footprint.compute import compute_bytes, runtime_bytes
from fitcheck.footprint.engine_buffers import engine_buffers
from fitcheck.footprint.kv_cache import CELL_PADDING, kv_bytes
from fitcheck.schema.engine import Buffer
from fitcheck.schema.model import Model
from fitcheck.schema.request import FlashAttention, Request

_LONGEST = 1 << 20
"""Cells to look at where nobody knows how long a context the model takes."""


class Footprint(NamedTuple):
    """Bytes that must stay in memory for full speed; the total is their sum."""

    weights_bytes: int
    kv_bytes: int
    compute_bytes: int
    runtime_bytes: int
    total_bytes: int


class Choices(NamedTuple):
    """The part of a request that decides what a context takes."""

    kv_type: str
    slots: int
    ubatch: int
    flash_attention: FlashAttention
    outputs: int | None = None  # tokens of a micro-batch whose logits may be wanted; None: all
    buffers: tuple[Buffer, ...] = ()  # of an engine that is not built like llama.cpp


def footprint(
    model: Model,
    weights: int,
    request: Request,
    context: int | None = None,
    buffers: tuple[Buffer, ...] = (),
) -> Footprint:
    """The memory of a model whose weights take so many bytes, with the request's context or another.

    ``buffers`` are the engine's own, where it has any. Raises BadInput where neither says a context.
    """
    context = context or request.context
    if context is None:
        raise BadInput("no context was asked for", "say --context 4096")
    kv, compute = contexts(model, choices_of(request, buffers)).bytes(context)
    runtime = runtime_bytes(model)
    return Footprint(weights, kv, compute, runtime, weights + kv + compute + runtime)


def max_context(
    model: Model, weights: int, request: Request, usable_bytes: int, buffers: tuple[Buffer, ...] = ()
) -> int:
    """The longest context, a multiple of 256 over all slots, that fits; 0 where none does."""
    free = usable_bytes - weights - runtime_bytes(model)
    return contexts(model, choices_of(request, buffers)).longest(most_cells(model, request), free)


class Contexts:
    """What contexts take beside the weights, whatever their format: each worked out when first asked for."""

    def __init__(self, model: Model, choices: Choices) -> None:
        self._asked = model, choices
        self._caches: dict[int, int] = {}
        self._buffers: dict[int, int] = {}

    def bytes(self, context: int) -> tuple[int, int]:
        """Of the cache, and of all buffers."""
        return self._cache(context), self._buffer(context)

    def longest(self, most: int, free: int) -> int:
        """The longest, in steps of 256 cells, up to ``most``, that so many bytes hold; 0 where none does.

        No buffer is worked out for contexts whose cache alone is too large.
        """
        most = self.longest_cache(most, free)
        if not most or self._size(most) <= free:
            return most
        held = [
            context
            for context in self._buffers
            if context <= most and context % CELL_PADDING == 0 and self._size(context) <= free
        ]
        return _longest(most, free, self._size, max(held, default=CELL_PADDING))

    def longest_cache(self, most: int, free: int) -> int:
        """The same of the cache alone: no context beyond it fits, whatever else there is."""
        return _longest(most, free, self._cache)

    def _size(self, context: int) -> int:
        return self._cache(context) + self._buffer(context)

    def _cache(self, context: int) -> int:
        if context not in self._caches:
            self._caches[context] = _cache_bytes(*self._asked, context)
        return self._caches[context]

    def _buffer(self, context: int) -> int:
        if context not in self._buffers:
            self._buffers[context] = _buffer_bytes(*self._asked, context)
        return self._buffers[context]


def _longest(most: int, free: int, size_of: Callable[[int], int], least: int = CELL_PADDING) -> int:
    """The longest context up to ``most``, in steps of 256 cells, that so many bytes hold; 0 where none does.

    ``least`` is held, or the least there is.
    Sizes grow evenly over long stretches, so a line between a context that is held and one that is not
    leads to the longest. An end that stays counts half each time, or a bend could keep it for ever.
    """
    low, high = least // CELL_PADDING, most // CELL_PADDING
    if not high or (over := size_of(high * CELL_PADDING) - free) <= 0:
        return high * CELL_PADDING
    if (spare := free - size_of(least)) < 0:
        return 0
    while high - low > 1:
        width = high - low
        step = low + min(max(1, spare * width // (spare + over)), width - 1)
        left = free - size_of(step * CELL_PADDING)
        if left < 0:
            high, over, spare = step, -left, spare // 2
        else:
            low, spare, over = step, left, -(-over // 2)
    return low * CELL_PADDING


@lru_cache(maxsize=1024)
def contexts(model: Model, choices: Choices) -> Contexts:
    return Contexts(model, choices)


def most_cells(model: Model, request: Request) -> int:
    """The longest context, over all slots, worth a look."""
    return (model.context_max or _LONGEST) * request.slots


def _cache_bytes(model: Model, choices: Choices, context: int) -> int:
    kv_type, slots, ubatch, flash, _, _ = choices
    return kv_bytes(model, context, kv_type, slots=slots, ubatch=ubatch, flash_attention=flash)


def _buffer_bytes(model: Model, choices: Choices, context: int) -> int:
    kv_type, slots, ubatch, flash, outputs, buffers = choices
    if buffers:
        return sum(engine_buffers(model, buffers, context, slots).values())
    return compute_bytes(
        model, context, kv_type, slots=slots, ubatch=ubatch, flash_attention=flash, outputs=outputs
    )


def choices_of(request: Request, buffers: tuple[Buffer, ...] = ()) -> Choices:
    """As a server is asked: one output a slot.

    llama-server, and llama-cli which starts one, reserve logits for as many
    tokens as there are slots (server_output_limits in tools/server of llama.cpp
    b11434); Ollama runs llama-server (ollama pull request 16031). llama-bench,
    llama-completion, builds before ggml-org/llama.cpp pull request 23861 (May
    2026) and programs on the library that say nothing reserve them for the whole
    micro-batch: up to 4 bytes for each of its tokens and each of the vocabulary
    more, of which a prompt writes one row; on a CPU they never become resident.
    """
    return Choices(
        request.kv_type,
        request.slots,
        request.ubatch,
        request.flash_attention,
        outputs=request.slots,
        buffers=buffers,
    )
