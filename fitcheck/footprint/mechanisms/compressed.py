"""A window of tokens and compressed rows before it (DeepSeek V4): what is stored, and how it runs."""

from collections.abc import Sequence

from fitcheck.footprint.arena import Tape
from fitcheck.footprint.mechanisms.latent import CHOSEN, chosen_cells, masked
from fitcheck.footprint.mechanisms.parts import (
    Cache,
    Mechanism,
    Tensor,
    matrix,
    project,
    register,
    small,
)
from fitcheck.schema.model import CompressedAttention


def _stored(a: CompressedAttention, hidden: int) -> Mechanism:
    """A window of whole rows, then compressed ones; what compresses keeps a state a slot.

    llama-kv-cache-dsv4.cpp: slots never share these cells, values are the keys.
    """
    query = a.heads * a.head_dim
    shared = a.output_groups * a.output_lora_rank
    tensors = [
        matrix("attn_q_a", "attention", hidden, a.q_lora_rank),
        matrix("attn_q_b", "attention", a.q_lora_rank, query),
        matrix("attn_kv", "attention", hidden, a.head_dim),
        matrix("attn_output_a", "attention", query // a.output_groups, shared),
        matrix("attn_output_b", "attention", shared, hidden),
        small("attn_q_a_norm.weight", "norm", a.q_lora_rank),
        small("attn_kv_a_norm.weight", "norm", a.head_dim),
        small("attn_sinks.weight", "norm", a.heads),
    ]
    caches = [Cache(a.head_dim, 0, window=a.window, each_slot=True)]
    state = 0
    for name, width in _compressors(a).items():
        tensors += _compressor(name, width, a, hidden)
        caches.append(Cache(width, 0, ratio=a.ratio or 1, each_slot=True))
        state += _compressor_state(width, a)
    if a.indexer is not None:
        tensors.append(matrix("indexer.proj", "attention", hidden, a.indexer.heads))
        rows = a.indexer.heads * a.indexer.head_dim
        tensors.append(matrix("indexer.attn_q_b", "attention", a.q_lora_rank, rows))
    return Mechanism(tuple(tensors), tuple(caches), state)


def _compressors(a: CompressedAttention) -> dict[str, int]:
    """The layer's own and its indexer's, each with the width of the rows it makes."""
    if a.ratio is None:
        return {}
    own = {"attn_compressor": a.head_dim}
    return own if a.indexer is None else own | {"indexer_compressor": a.indexer.head_dim}


def _compressor(name: str, width: int, a: CompressedAttention, hidden: int) -> tuple[Tensor, ...]:
    blocks = 2 if a.overlap else 1
    return (
        matrix(name + "_kv", "attention", hidden, blocks * width),
        matrix(name + "_gate", "attention", hidden, blocks * width),
        matrix(name + "_ape", "attention", blocks * width, a.ratio or 1),
        small(name + "_norm.weight", "norm", width),
    )


def _compressor_state(width: int, a: CompressedAttention) -> int:
    """Rows and scores of the tokens that aren't compressed yet."""
    blocks = 2 if a.overlap else 1
    return 2 * (blocks * width) * (blocks * (a.ratio or 1))


def _run(a: CompressedAttention, tape: Tape, hidden: int, source: int) -> int:
    wide = a.heads * a.head_dim
    for width in _compressor_widths(a):
        _compress(a, width, tape, turned=tape.quantized or width != a.head_dim)
    low = tape.take(a.q_lora_rank)
    if a.indexer is not None:
        tape.keep(low)
        tape.keep(source)
    query = _turned(tape, wide, project(tape, wide, project(tape, wide, low)))
    key = project(tape, a.head_dim, project(tape, a.head_dim, source))
    tape.drop(_turned(tape, a.head_dim, key))
    output = _compressed_attend(a, tape, query, low, source)
    shared = a.output_groups * a.output_lora_rank
    output = project(tape, shared, project(tape, wide, _turned(tape, wide, output)))
    return project(tape, hidden, project(tape, shared, output))


def _turned(tape: Tape, size: int, rows: int) -> int:
    """Rows turned, so that a quantized cache rounds them less."""
    return project(tape, size, rows) if tape.quantized else rows


def _compressed_attend(a: CompressedAttention, tape: Tape, query: int, low: int, source: int) -> int:
    """Keys of the window and the compressed ones in one tensor, and their masks."""
    wide, ratio, width = a.heads * a.head_dim, a.ratio or 1, 1 if tape.quantized else 2
    read = [query]
    if a.ratio is not None:
        read.append(tape.take(cell=a.head_dim, window=a.window, ratio=ratio, width=width))
    if not tape.flash:
        copied = tape.take(cell=a.head_dim, window=a.window, ratio=ratio, width=width)
        scores = tape.take(score=a.heads, window=a.window, ratio=ratio)
        tape.drop(*reversed(read))
        read = [copied, scores]
    if a.ratio is not None:
        mask = _both_masks(a, tape, low, source)
        if tape.flash:
            read.append(mask)
        else:
            tape.drop(mask)
    output = tape.take(wide)
    tape.drop(*read)
    return output if tape.flash else project(tape, wide, output)


def _both_masks(a: CompressedAttention, tape: Tape, low: int, source: int) -> int:
    """The window's and the compressed rows' masks in one."""
    ratio = a.ratio or 1
    own, *others = tape.compressed[ratio]
    if a.indexer is None:
        mask = tape.take(score=1, window=a.window, ratio=ratio, width=2 if tape.flash else 4)
        tape.drop(own, *others)
        return mask
    chosen = masked(tape, ratio, chosen_cells(a.indexer, tape, low, source, ratio), own)
    mask = tape.take(score=1, window=a.window, ratio=ratio, width=2 if tape.flash else 4)
    tape.drop(chosen, *others)
    return mask


def _compressor_widths(a: CompressedAttention) -> list[int]:
    """Elements of a row that each compressor makes: the layer's own, and the indexer's."""
    if a.ratio is None:
        return []
    return [a.head_dim] + ([a.indexer.head_dim] if a.indexer is not None else [])


def _compress(a: CompressedAttention, width: int, tape: Tape, *, turned: bool) -> None:
    """Rows and their scores, gathered by the block, weighed and summed; the few left go to a state."""
    ratio, made_width = a.ratio or 1, width * (2 if a.overlap else 1)
    left = ratio * (2 if a.overlap else 1) * made_width
    rows = tape.take(made_width)
    blocks = _gathered(a, width, tape)
    scores = tape.take(made_width)
    tape.drop(tape.take(made_width))  # what each place in a block adds to its score
    tape.drop(_gathered(a, width, tape))
    summed = tape.take(width // ratio, sequence=width)
    tape.drop(blocks)
    compressed = project(tape, width // ratio, summed, sequence=width)
    if turned:
        compressed = project(tape, width // ratio, compressed, sequence=width)
    tape.drop(compressed)
    for one in (rows, scores):
        stored = tape.take(sequence=left)
        tape.drop(one, stored)


def _gathered(a: CompressedAttention, width: int, tape: Tape) -> int:
    """New rows behind those left over, by the block: a block more than the new ones fill, for each slot."""
    ratio = a.ratio or 1
    if not a.overlap:
        joined = tape.take(width, sequence=ratio * width)
        return project(
            tape, width, project(tape, width, joined, sequence=ratio * width), sequence=ratio * width
        )
    left = 2 * ratio * 2 * width
    joined, nothing = tape.take(2 * width, sequence=left), tape.take(fixed=2 * width)
    both = tape.take(2 * width, sequence=left, fixed=2 * width)
    tape.drop(joined, nothing)
    blocks = project(tape, 4 * width, both, sequence=left)
    halves = [tape.take(width, sequence=ratio * width) for _ in ("the block's own", "the next one's")]
    tape.drop(blocks)
    joined = tape.take(2 * width, sequence=2 * ratio * width)
    tape.drop(*halves)
    return project(tape, 2 * width, joined, sequence=2 * ratio * width)


def compressed_inputs(mixers: Sequence[object], tape: Tape) -> None:
    """What such mixers are given besides the window's: turns, places and masks of each ratio, blanks."""
    for mixer in mixers:
        if not isinstance(mixer, CompressedAttention) or mixer.ratio is None:
            continue
        if mixer.ratio in tape.compressed:
            _blank(mixer, tape)
            continue
        uses = sum(isinstance(one, CompressedAttention) and one.ratio == mixer.ratio for one in mixers)
        given = [tape.take(fixed=mixer.head_dim**2, uses=uses)] if tape.quantized else []
        given.append(_places(mixer, tape, uses))
        if mixer.indexer is not None:
            given += [tape.take(fixed=mixer.indexer.head_dim**2, uses=uses), _places(mixer, tape, uses)]
            _blank(mixer, tape)
            given.append(tape.take(score=1, ratio=mixer.ratio, width=2, uses=uses))  # the scorer wants F16
        mask = tape.take(score=1, ratio=mixer.ratio, width=2 if tape.flash else 4, uses=uses)
        tape.compressed[mixer.ratio] = (mask, *given)


def _places(a: CompressedAttention, tape: Tape, uses: int) -> int:
    """Numbers of rows to read, their positions, and where the compressed ones go."""
    ratio, blocks = a.ratio or 1, 2 if a.overlap else 1
    return tape.take(1 + blocks, sequence=ratio * blocks, uses=uses)


def _blank(a: CompressedAttention, tape: Tape) -> None:
    if a.indexer is not None:
        width = 2 if tape.flash else 4
        tape.blanks.append(tape.take(score=1, ratio=a.ratio or 1, most=CHOSEN, width=width))


register(CompressedAttention, _stored, _run)
