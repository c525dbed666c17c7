"""Recurrent mechanisms in the compute buffer."""

from fitcheck.footprint.arena import Tape
from fitcheck.footprint.schedules.attention import finish
from fitcheck.footprint.schedules.parts import project, reads_first, schedule
from fitcheck.schema.model import GatedDeltaNet, KimiDelta, Mamba, Mamba2, Rwkv6, Rwkv7, ShortConv


@schedule(Mamba)
def _mamba(m: Mamba, tape: Tape, hidden: int, source: int) -> int:
    gathered = tape.gathered.pop()
    both = project(tape, 2 * m.inner_size, source)
    mixed = _convolve(tape, m.inner_size, m.conv_kernel, gathered)
    low = tape.take(m.dt_rank + 2 * m.state_size, uses=3 if m.inner_norms else 1)
    if m.inner_norms:
        dt = project(tape, m.inner_size, project(tape, m.dt_rank, low))
        read = [dt, project(tape, m.state_size, low), project(tape, m.state_size, low)]
    else:
        read = [tape.take(m.inner_size), low]
    scanned = tape.take(m.inner_size, sequence=m.state_size * m.inner_size)
    tape.drop(*read)
    tape.expand()
    gate = project(tape, m.inner_size, both)
    tape.drop(scanned)
    gated = tape.take(m.inner_size)
    tape.drop(gate, mixed)
    return project(tape, hidden, gated)


def _convolve(tape: Tape, size: int, kernel: int, *sources: int) -> int:
    """The last tokens before the new ones, then the convolution over both."""
    return project(tape, size, _behind_last(tape, size, kernel, *sources))


def _behind_last(tape: Tape, size: int, kernel: int, *sources: int) -> int:
    joined = tape.take(size, sequence=(kernel - 1) * size)
    tape.drop(*sources)
    return joined


@schedule(Mamba2)
def _mamba2(m: Mamba2, tape: Tape, hidden: int, source: int) -> int:
    inner = m.heads * m.head_dim
    mixed_size = inner + 2 * m.groups * m.state_size
    gathered = tape.gathered.pop()
    all_of_it = project(tape, inner + mixed_size + m.heads, source)
    mixed = _convolve(tape, mixed_size, m.conv_kernel, gathered)
    dt = tape.take(m.heads)
    scanned = tape.take(inner, sequence=m.state_size * inner)
    tape.drop(dt)
    tape.drop(tape.take(spare=m.state_size * inner))  # states of other slots are copied over
    tape.expand()
    if tape.beside is not None:  # attention of the same layer has waited for its product
        tape.beside = finish(tape.waiting, tape, hidden, tape.beside)
    gate = project(tape, inner, all_of_it)
    skipped = project(tape, inner, mixed)
    tape.drop(scanned)
    gated = tape.take(inner)
    tape.drop(gate, skipped)
    return project(tape, hidden, project(tape, inner, gated) if m.norm else gated)


@schedule(GatedDeltaNet)
def _gated_delta_net(g: GatedDeltaNet, tape: Tape, hidden: int, source: int) -> int:
    values, keys = g.value_heads * g.value_head_dim, g.key_heads * g.key_head_dim
    mixed_size = 2 * keys + values
    gathered = tape.take(sequence=(g.conv_kernel - 1) * mixed_size)
    joined = _behind_last(tape, mixed_size, g.conv_kernel, gathered, tape.take(mixed_size))
    state = tape.take(sequence=g.key_head_dim * values)
    mixed = project(tape, mixed_size, joined)
    read = [state, mixed, tape.take(keys), tape.take(keys)]
    read += [project(tape, g.value_heads, tape.take(g.value_heads)) for _ in ("alpha", "beta")]
    updated = tape.take(values, sequence=g.key_head_dim * values)
    tape.drop(*read)
    normed = project(tape, values, updated)
    gate = project(tape, values, project(tape, values, source))
    tape.drop(gate)
    return project(tape, hidden, normed)


@schedule(ShortConv)
def _short_conv(c: ShortConv, tape: Tape, hidden: int, source: int) -> int:
    gathered = tape.gathered.pop()
    projected = project(tape, 3 * hidden, source)
    joined = _behind_last(tape, hidden, c.conv_kernel, gathered, tape.take(hidden))
    tape.expand()
    mixed = project(tape, hidden, joined)
    tape.drop(projected)
    return project(tape, hidden, mixed)


@schedule(KimiDelta)
def _kimi_delta(k: KimiDelta, tape: Tape, hidden: int, source: int) -> int:
    inner, low_rank = k.heads * k.head_dim, k.head_dim
    joined = _joined_apart(k, tape)
    state = tape.take(sequence=low_rank * inner)
    query, key = (project(tape, inner, _activated(tape, inner, one)) for one in joined[:2])
    value = _activated(tape, inner, joined[2])
    decay = project(tape, inner, project(tape, inner, tape.take(low_rank)))
    beta = project(tape, k.heads, tape.take(k.heads))
    updated = tape.take(inner, sequence=low_rank * inner)
    tape.drop(query, key, value, decay, beta, state)
    tape.expand()
    normed = project(tape, inner, project(tape, inner, updated))
    low = source if k.full_gate else project(tape, low_rank, source)
    tape.drop(project(tape, inner, project(tape, inner, low)))
    return project(tape, hidden, project(tape, inner, normed))


def _joined_apart(k: KimiDelta, tape: Tape) -> list[int]:
    """Queries, keys and values, each behind its last tokens."""
    inner = k.heads * k.head_dim
    gathered = tape.take(sequence=3 * (k.conv_kernel - 1) * inner)
    joined = []
    for _ in "qkv":
        made = tape.take(inner)
        joined.append(tape.take(inner, sequence=(k.conv_kernel - 1) * inner))
        tape.drop(made)
    tape.drop(gathered)
    return joined


def _activated(tape: Tape, size: int, source: int) -> int:
    """A convolution, and its activation out of place."""
    return project(tape, size, project(tape, size, source))


def _shift(tape: Tape, hidden: int) -> tuple[int, int]:
    """The state of a layer's time mix, and its input less the token before."""
    tape.shifted, state = tape.gathered
    tape.gathered = []
    return state, tape.take(hidden)


def _leave(tape: Tape, hidden: int, mixed: int, source: int) -> int:
    """The product, and the sum, which gets a tensor of its own. The input is stored with the next block's."""
    tape.unstored = source
    return project(tape, hidden, project(tape, hidden, mixed))


@schedule(Rwkv6)
def _rwkv6(r: Rwkv6, tape: Tape, hidden: int, source: int) -> int:
    state, shifted = _shift(tape, hidden)
    low = project(tape, 5 * r.mix_rank, project(tape, 5 * r.mix_rank, tape.take(hidden)))
    mixes = project(tape, 5 * hidden, low)
    tape.drop(shifted)
    read = [tape.take(hidden) for _ in ("receptance", "key", "value")]
    read.append(project(tape, hidden, tape.take(r.decay_rank)))
    scanned = tape.take(hidden, sequence=hidden * r.head_dim)
    tape.drop(*read, state)
    output = project(tape, hidden, project(tape, hidden, scanned))
    tape.drop(project(tape, hidden, mixes))
    return _leave(tape, hidden, output, source)


@schedule(Rwkv7)
def _rwkv7(r: Rwkv7, tape: Tape, hidden: int, source: int) -> int:
    state, shifted = _shift(tape, hidden)
    mixes = project(tape, 6 * hidden, shifted)
    receptance = tape.take(hidden)
    decay = project(tape, hidden, tape.take(r.decay_rank))
    key = tape.take(hidden)
    rate = project(tape, hidden, tape.take(r.rate_rank))
    scaled, replaced = tape.take(hidden), tape.take(hidden)
    tape.drop(scaled)
    value = _first_value_mixed_in(r, tape, hidden)
    normed_key = project(tape, hidden, key)
    negated = tape.take(hidden)
    tape.drop(rate)
    scanned = tape.take(hidden, sequence=hidden * r.head_dim)
    tape.drop(decay, negated, normed_key, state)
    output = project(tape, hidden, project(tape, hidden, scanned))
    weighed = tape.take(hidden)
    tape.drop(replaced, receptance)
    weight = project(tape, hidden // r.head_dim, weighed)
    bonus = tape.take(hidden)
    tape.drop(weight, value, bonus)
    tape.drop(project(tape, hidden, project(tape, r.gate_rank, mixes)))
    return _leave(tape, hidden, output, source)


def _first_value_mixed_in(r: Rwkv7, tape: Tape, hidden: int) -> int:
    """Values, with those of the first layer, which stay for all others."""
    value = tape.take(hidden)
    if tape.lasting is None:
        tape.lasting = value
        return tape.keep(value)
    less = tape.take(hidden)
    tape.drop(project(tape, hidden, tape.take(r.value_rank)), less)
    return value


def _last_tokens(part: Mamba | Mamba2 | ShortConv, hidden: int) -> tuple[int, ...]:
    """The convolution's inputs of the tokens before."""
    width = hidden
    if isinstance(part, Mamba):
        width = part.inner_size
    elif isinstance(part, Mamba2):
        width = part.heads * part.head_dim + 2 * part.groups * part.state_size
    return ((part.conv_kernel - 1) * width,)


def _shift_and_state(part: Rwkv6 | Rwkv7, hidden: int) -> tuple[int, ...]:
    return 2 * hidden, hidden * part.head_dim


reads_first(_last_tokens, Mamba, Mamba2, ShortConv)
reads_first(_shift_and_state, Rwkv6, Rwkv7)
