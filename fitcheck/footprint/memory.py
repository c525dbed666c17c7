"""What must be resident: weights, cache, compute buffers, and the engine itself."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from fitcheck.errors import BadInput
from fitcheck.footprint.assignment import TypedTensors, assign
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

    def with_weights(self, weights_bytes: int) -> "Footprint":
        """The same beside other weights."""
        beside = self.total_bytes - self.weights_bytes
        return Footprint(
            weights_bytes, self.kv_bytes, self.compute_bytes, self.runtime_bytes, weights_bytes + beside
        )


class ReadGroup(NamedTuple):
    """What one decode step reads in one type."""

    type: str
    bytes: int
    weights: int
    matrices: int  # products of a token, for costs that come once a product
    prompt_weights: int = 0  # multiplied for each token of a prompt: all but the output, asked for once
    prompt_bytes: int = 0  # read for them by many tokens together, which pass through all experts
    expert_bytes: int = 0  # of the bytes, those of experts that the token chose
    odd_weights: int = 0  # of the weights, those in rows that pieces of neither 512 nor 768 make up


_PIECES = (
    512,
    768,
)  # weights of a row at once: ggml_tiled_narrow_k_extent in ggml-cpu/tiled/tiled.cpp, b11434


class Reads:
    """What a token reads, gathered by type."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[int, int, int, int]] = {}

    def add(self, name: str, size: int, weights: int, matrices: int, experts: int) -> None:
        """Bytes, weights and matrices of a type, and of the bytes those of chosen experts."""
        if known := self._sums.get(name):
            bytes_, weights_, matrices_, experts_ = known
            self._sums[name] = (bytes_ + size, weights_ + weights, matrices_ + matrices, experts_ + experts)
        else:
            self._sums[name] = (size, weights, matrices, experts)

    @property
    def groups(self) -> tuple[ReadGroup, ...]:
        return tuple(
            [
                ReadGroup(name, size, weights, matrices, expert_bytes=experts)
                for name, (size, weights, matrices, experts) in self._sums.items()
            ]
        )


PER_PROMPT = ("embedding", "output")
"""Parts of a model that a prompt of any length multiplies by once: its last token's scores."""


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


def longest_cache(model: Model, weights: int, request: Request, usable_bytes: int) -> int:
    """Like ``max_context``, of weights and cache alone: no context beyond it fits, whatever else there is."""
    most = most_cells(model, request)
    return contexts(model, choices_of(request)).longest_cache(most, usable_bytes - weights)


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
        longest = self.longest_cache(most, free)
        if longest == 0 or (longest + CELL_PADDING > most and sum(self.bytes(longest)) <= free):
            return longest
        # All steps, so that every format tries the same ones first.
        return CELL_PADDING * bisect_left(
            _steps(most), True, key=lambda context: context > longest or sum(self.bytes(context)) > free
        )

    def longest_cache(self, most: int, free: int) -> int:
        """The same of the cache alone."""
        return CELL_PADDING * bisect_right(_steps(most), free, key=self._cache)

    def _cache(self, context: int) -> int:
        if context not in self._caches:
            self._caches[context] = _cache_bytes(*self._asked, context)
        return self._caches[context]

    def _buffer(self, context: int) -> int:
        if context not in self._buffers:
            self._buffers[context] = _buffer_bytes(*self._asked, context)
        return self._buffers[context]


def _steps(most: int) -> range:
    """Contexts worth a look."""
    return range(CELL_PADDING, most + 1, CELL_PADDING)


@lru_cache(maxsize=1024)
def contexts(model: Model, choices: Choices) -> Contexts:
    return Contexts(model, choices)


def most_cells(model: Model, request: Request) -> int:
    """The longest context, over all slots, worth a look."""
    return (model.context_max or _LONGEST) * request.slots


def read_groups(model: Model, format_name: str) -> tuple[ReadGroup, ...]:
    """What one token reads: a row of a looked-up table, the active experts, all else whole."""
    return reads_of(assign(model, format_name))


def reads_of(tensors: Iterable[TypedTensors]) -> tuple[ReadGroup, ...]:
    """What one token reads of these, type by type."""
    found: dict[str, list[int]] = {}
    for group, name, count, _, size, read in tensors:
        sums = found.setdefault(name, [0, 0, 0, 0, 0, 0, 0])
        if group.unused:
            continue
        tensor = group.tensor
        weights = tensor.weights_read * count
        sums[0] += read
        sums[1] += weights
        sums[2] += tensor.stack_read * count if tensor.rows_read > 1 else 0
        if tensor.part not in PER_PROMPT:
            sums[3] += weights
            sums[4] += size
        sums[5] += read if 1 < tensor.stack != tensor.stack_read else 0
        sums[6] += weights if all(tensor.cols % piece for piece in _PIECES) else 0
    return tuple([ReadGroup(name, *sums) for name, sums in found.items()])


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
