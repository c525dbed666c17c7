"""Compute buffers of a model that lies on graphics cards, or on cards and in RAM.

Measured with llama.cpp b11434 loading real shapes, with remote devices that
say what a card says (tests/golden/llama_cpp_split.csv). A card computes what a
CPU would, but the row of embeddings is looked up in RAM. Prompts run on the
card even through weights that lie in RAM: it takes in one of their matrices
at a time. Several cards that hold all layers work on four micro-batches at
once and keep the inputs of each.
"""

from typing import NamedTuple

from fitcheck.footprint.graph import widest_part
from fitcheck.footprint.kv_cache import cells, pad_context
from fitcheck.footprint.mechanisms import Cache
from fitcheck.footprint.memory import Choices, contexts
from fitcheck.footprint.tensors import layout
from fitcheck.schema.model import Model

_F32, _F16, _ADDRESS = 4, 2, 8
_AT_ONCE = 4  # GGML_SCHED_MAX_COPIES: micro-batches in the pipeline

# Rows of the hidden state, one for each token of a micro-batch, that were
# found beside masks and the widest moment.
_HOST_ROWS, _HOST_ROWS_PIPELINED = 4, 10
_LAST_ROWS, _OTHER_ROWS, _STAGED_ROWS = 5, 16, 6


def output_bytes(model: Model, slots: int) -> int:
    """The buffer that hands out each slot's logits; it lies in RAM."""
    return _F32 * model.vocab_size * slots


def cpu_buffer(model: Model, context: int, choices: Choices) -> int:
    """The compute buffer of a CPU that does all of it."""
    return contexts(model, choices).bytes(context)[1] - output_bytes(model, choices.slots)


def host_buffer(model: Model, context: int, choices: Choices, *, pipelined: bool = False) -> int:
    """What stays in RAM where cards compute: masks, embeddings, and the other way round.

    Of engines with buffers of their own nobody said that they keep any there.
    """
    if choices.buffers:
        return 0
    rows, copies = (_HOST_ROWS_PIPELINED, _AT_ONCE) if pipelined else (_HOST_ROWS, 1)
    return rows * _row(model, context, choices) + copies * _inputs(model, context, choices)


class CardBuffers(NamedTuple):
    """What a card computes in, by what else there is."""

    whole: int  # all layers on it
    staging: int | None  # some in RAM: beside the largest matrix there, which prompts bring to it
    last: int  # of cards that hold all layers together, the last
    other: int  # one before the last

    def on(self, *, pipelined: bool, last: bool, staged: int) -> int:
        """On one card. ``staged``: the largest matrix in RAM that prompts bring to it; 0 for none."""
        if pipelined:
            return self.last if last else self.other
        if self.staging is None or not staged:
            return self.whole
        return max(self.whole, staged + self.staging)


def card_buffers(model: Model, context: int, choices: Choices) -> CardBuffers:
    if choices.buffers:  # every card that computes has them
        size = cpu_buffer(model, context, choices)
        return CardBuffers(size, None, size, size)
    row, inputs = _row(model, context, choices), _inputs(model, context, choices)
    whole = cpu_buffer(model, context, choices) - row
    moment = _F32 * widest_part(model) * _batch(context, choices)
    other = moment + _AT_ONCE * inputs + _OTHER_ROWS * row
    with_logits = whole + (_AT_ONCE - 1) * inputs + _LAST_ROWS * row
    last = with_logits if choices.outputs is None else max(with_logits, other)
    return CardBuffers(whole, moment + inputs + _STAGED_ROWS * row, last, other)


def _batch(context: int, choices: Choices) -> int:
    return min(pad_context(context), choices.ubatch)


def _row(model: Model, context: int, choices: Choices) -> int:
    return _F32 * model.hidden_size * _batch(context, choices)


def _inputs(model: Model, context: int, choices: Choices) -> int:
    """Masks over the cells of a slot, one for each window; without flash attention, where values go, too."""
    total = 0
    for window in {cache.window for cache, _ in layout(model).caches}:
        reach = cells(Cache(0, 0, window=window), context, choices.slots, choices.ubatch) // choices.slots
        if choices.flash_attention != "off":
            total += _F16 * reach
            continue
        widths = [cache.value for cache, _ in layout(model).caches if cache.window == window]
        total += _F32 * reach + _ADDRESS * max(widths)
    return total * _batch(context, choices)
