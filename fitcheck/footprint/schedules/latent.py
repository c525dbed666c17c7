"""Attention over compressed rows, and over cells that an indexer chooses, in the compute buffer."""

from fitcheck.footprint.arena import Tape
from fitcheck.footprint.schedules.attention import attend, gated
from fitcheck.footprint.schedules.parts import project, schedule
from fitcheck.schema.model import CompressedAttention, Indexer, LatentAttention

CHOSEN = 2048
"""Cells that DeepSeek's and GLM's indexers choose: indexer.top_k of their files."""


@schedule(LatentAttention)
def _latent_attention(a: LatentAttention, tape: Tape, hidden: int, source: int) -> int:
    if a.expanded:
        return _expanded(a, tape, hidden, source)
    if a.gate_size:
        tape.keep(source)
    if a.indexer is not None:
        _index_key(a.indexer, tape, tape.keep(source))
    low = tape.keep(source) if a.q_lora_rank is None else tape.take(a.q_lora_rank)
    query = _absorbed(a, tape, low if a.indexer is None else tape.keep(low))
    _latent_key(a, tape, source)
    output = _latent_attend(a, tape, query, low, source)
    output = project(tape, a.heads * a.value_dim, project(tape, a.heads * a.value_dim, output))
    if a.gate_size:
        output = gated(a.gate_size, tape, a.gate_size, output, source)
    return project(tape, hidden, output)


def _absorbed(a: LatentAttention, tape: Tape, low: int) -> int:
    """Queries against the compressed rows, then what is rotated behind them."""
    rotated = project(tape, a.heads * (a.nope_head_dim + a.rope_head_dim), low)
    absorbed = tape.take(a.heads * a.kv_lora_rank)
    if tape.rotates:
        rotated = project(tape, a.heads * a.rope_head_dim, rotated)
    query = tape.take(a.heads * (a.kv_lora_rank + a.rope_head_dim))
    tape.drop(absorbed, rotated)
    return query


def _latent_key(a: LatentAttention, tape: Tape, source: int) -> None:
    compressed = project(tape, a.kv_lora_rank + a.rope_head_dim, source)
    key = tape.take(a.kv_lora_rank)
    rotated = project(tape, a.rope_head_dim, compressed) if tape.rotates else compressed
    tape.drop(tape.take(a.kv_lora_rank + a.rope_head_dim), key, rotated)


def _latent_attend(a: LatentAttention, tape: Tape, query: int, low: int, source: int) -> int:
    """Without flash attention the compressed rows are copied to be read as values."""
    read = [query]
    if not tape.flash:
        read = [tape.take(cell=a.kv_lora_rank, width=2), tape.take(score=a.heads)]
        tape.drop(query)
    chosen = None
    if a.indexer is not None:
        chosen = _chosen_cells(a.indexer, tape, low, source)
    elif tape.chosen is not None:
        chosen = tape.keep(tape.chosen)
    if chosen is not None:
        mask = _masked(tape, 1, chosen)
        if tape.flash:
            read.append(mask)
        else:
            tape.drop(mask)
    output = tape.take(a.heads * a.kv_lora_rank)
    tape.drop(*read)
    return output


def _expanded(a: LatentAttention, tape: Tape, hidden: int, source: int) -> int:
    """Keys and values of all heads, as the cache holds them (MiniCPM3)."""
    keys, values = a.heads * (a.nope_head_dim + a.rope_head_dim), a.heads * a.value_dim
    low = tape.keep(source) if a.q_lora_rank is None else tape.take(a.q_lora_rank)
    query = project(tape, keys, project(tape, keys, low))
    compressed = project(tape, a.kv_lora_rank + a.rope_head_dim, source)
    both = project(tape, a.heads * (a.nope_head_dim + a.value_dim), tape.take(a.kv_lora_rank))
    value = tape.take(values)
    repeated = project(tape, a.heads * a.rope_head_dim, project(tape, a.rope_head_dim, compressed))
    key = tape.take(keys)
    tape.drop(both, repeated)
    if tape.quantized and a.value_dim % 64 == 0:
        value = project(tape, values, value)
    tape.drop(key, value)
    output = attend(tape, a.heads, values, None, query)
    if tape.quantized and a.value_dim % 64 == 0:
        output = project(tape, values, output)
    return project(tape, hidden, output)


def _index_key(i: Indexer, tape: Tape, source: int) -> None:
    """The indexer's key: normed, rotated by its position, and turned."""
    key = project(tape, i.head_dim, source)
    for _ in ("norm", "position", "turn"):
        key = project(tape, i.head_dim, key)
    tape.drop(key)


def _masked(tape: Tape, ratio: int, chosen: int) -> int:
    """The mask of the chosen cells: zeros, from a tensor laid out at the start, scattered over a full one."""
    width = 2 if tape.flash else 4
    spread = tape.take(score=1, ratio=ratio, width=width)
    tape.drop(tape.blanks.pop(0), chosen)
    mask = tape.take(score=1, ratio=ratio, width=width)
    tape.drop(spread)
    return mask


def _chosen_cells(i: Indexer, tape: Tape, low: int, source: int, ratio: int = 1) -> int:
    """The numbers of the cells an indexer chooses. Layers after it may share them."""
    query = project(tape, i.heads * i.head_dim, low)
    for _ in ("position", "turn"):
        query = project(tape, i.heads * i.head_dim, query)
    weights = project(tape, i.heads, project(tape, i.heads, source))
    scores = tape.take(score=1, ratio=ratio)
    tape.drop(query, weights)
    chosen = _best(tape, ratio, _best(tape, ratio, scores))
    if tape.shares:
        if tape.chosen is not None:
            tape.drop(tape.chosen)
        tape.chosen = tape.keep(chosen)
    return chosen


def _best(tape: Tape, ratio: int, source: int) -> int:
    """The best cells, sorted out of all or of a few."""
    result = tape.take(score=1, ratio=ratio, most=CHOSEN)
    tape.drop(source)
    return result


@schedule(CompressedAttention)
def _compressed_attention(a: CompressedAttention, tape: Tape, hidden: int, source: int) -> int:
    wide = a.heads * a.head_dim
    for width in _compressor_widths(a):
        _compress(width, tape, source)
    low = tape.take(a.q_lora_rank)
    if a.indexer is not None:
        tape.keep(low)
        tape.keep(source)
    query = project(tape, wide, project(tape, wide, low))
    tape.drop(project(tape, a.head_dim, project(tape, a.head_dim, source)))
    output = _compressed_attend(a, tape, query, low, source)
    shared = a.output_groups * a.output_lora_rank
    output = project(tape, shared, project(tape, wide, output))
    return project(tape, hidden, project(tape, shared, output))


def _compressed_attend(a: CompressedAttention, tape: Tape, query: int, low: int, source: int) -> int:
    """Keys of the window and the compressed ones in one tensor, and their masks."""
    wide, ratio = a.heads * a.head_dim, a.ratio or 1
    read = [query]
    if a.ratio is not None:
        read.append(tape.take(cell=a.head_dim, window=a.window, ratio=ratio, width=2))
    if not tape.flash:
        copied = tape.take(cell=a.head_dim, window=a.window, ratio=ratio, width=2)
        scores = tape.take(score=a.heads, window=a.window, ratio=ratio)
        tape.drop(*read)
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
    ratio = a.ratio or 1
    chosen = None
    if a.indexer is not None:
        chosen = _masked(tape, ratio, _chosen_cells(a.indexer, tape, low, source, ratio))
    mask = tape.take(score=1, window=a.window, ratio=ratio, width=2 if tape.flash else 4)
    if chosen is not None:
        tape.drop(chosen)
    return mask


def _compressor_widths(a: CompressedAttention) -> list[int]:
    """Elements a token brings to each compressor: its own, and the indexer's."""
    if a.ratio is None:
        return []
    heads = [a.head_dim] + ([a.indexer.head_dim] if a.indexer is not None else [])
    return [size * (2 if a.overlap else 1) for size in heads]


def _compress(width: int, tape: Tape, source: int) -> None:
    """Rows and their scores, gathered by the block, weighed and summed; the few left go to a state."""
    made = [tape.take(width), tape.take(width)]
    gathered = [project(tape, 2 * width, tape.take(width)) for _ in made]
    tape.drop(*gathered, *made)
