"""Mamba 1 and 2, and short convolutions: what they store, and what running them takes."""

from fitcheck.footprint.arena import Tape
from fitcheck.footprint.mechanisms.attention import finish
from fitcheck.footprint.mechanisms.parts import (
    Mechanism,
    matrix,
    project,
    register,
    small,
)
from fitcheck.schema.model import Mamba, Mamba2, ShortConv


def _mamba_stored(m: Mamba, hidden: int) -> Mechanism:
    """State a channel, and the last tokens its convolution needs."""
    tensors = [
        matrix("ssm_in", "state", hidden, 2 * m.inner_size),
        small("ssm_conv1d.weight", "state", m.conv_kernel, m.inner_size),
        small("ssm_conv1d.bias", "state", m.inner_size),
        matrix("ssm_x", "state", m.inner_size, m.dt_rank + 2 * m.state_size),
        matrix("ssm_dt", "state", m.dt_rank, m.inner_size),
        small("ssm_dt.bias", "state", m.inner_size),
        small("ssm_a", "state", m.state_size, m.inner_size),
        small("ssm_d", "state", m.inner_size),
        matrix("ssm_out", "state", m.inner_size, hidden),
    ]
    if m.inner_norms:
        lengths = {"ssm_dt_norm": m.dt_rank, "ssm_b_norm": m.state_size, "ssm_c_norm": m.state_size}
        tensors += [small(name + ".weight", "norm", length) for name, length in lengths.items()]
    state = (m.conv_kernel - 1 + m.state_size) * m.inner_size
    return Mechanism(tuple(tensors), state=state)


def _mamba_run(m: Mamba, tape: Tape, hidden: int, source: int) -> int:
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
    return project(tape, size, behind_last(tape, size, kernel, *sources))


def behind_last(tape: Tape, size: int, kernel: int, *sources: int) -> int:
    joined = tape.take(size, sequence=(kernel - 1) * size)
    tape.drop(*sources)
    return joined


def _mamba2_stored(m: Mamba2, hidden: int) -> Mechanism:
    """Like Mamba, with B and C shared by the heads of a group."""
    inner = m.heads * m.head_dim
    mixed = inner + 2 * m.groups * m.state_size
    tensors = [
        matrix("ssm_in", "state", hidden, inner + mixed + m.heads),
        small("ssm_conv1d.weight", "state", m.conv_kernel, mixed),
        small("ssm_dt.bias", "state", m.heads),
        small("ssm_a", "state", 1, m.heads),
        small("ssm_d", "state", 1, m.heads),
        matrix("ssm_out", "state", inner, hidden),
    ]
    if m.norm:
        tensors.append(small("ssm_norm.weight", "norm", inner // m.groups, m.groups))
    if m.conv_bias:
        tensors.append(small("ssm_conv1d.bias", "state", mixed))
    state = (m.conv_kernel - 1) * mixed + m.state_size * inner
    return Mechanism(tuple(tensors), state=state)


def _mamba2_run(m: Mamba2, tape: Tape, hidden: int, source: int) -> int:
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


def _short_conv_stored(c: ShortConv, hidden: int) -> Mechanism:
    """Only the last tokens are kept."""
    tensors = (
        small("shortconv.conv.weight", "state", c.conv_kernel, hidden),
        matrix("shortconv.in_proj", "state", hidden, 3 * hidden),
        matrix("shortconv.out_proj", "state", hidden, hidden),
    )
    return Mechanism(tensors, state=(c.conv_kernel - 1) * hidden)


def _short_conv_run(c: ShortConv, tape: Tape, hidden: int, source: int) -> int:
    gathered = tape.gathered.pop()
    projected = project(tape, 3 * hidden, source)
    joined = behind_last(tape, hidden, c.conv_kernel, gathered, tape.take(hidden))
    tape.expand()
    mixed = project(tape, hidden, joined)
    tape.drop(projected)
    return project(tape, hidden, mixed)


def _last_tokens(part: Mamba | Mamba2 | ShortConv, hidden: int) -> tuple[int, ...]:
    """The convolution's inputs of the tokens before."""
    width = hidden
    if isinstance(part, Mamba):
        width = part.inner_size
    elif isinstance(part, Mamba2):
        width = part.heads * part.head_dim + 2 * part.groups * part.state_size
    return ((part.conv_kernel - 1) * width,)


register(Mamba, _mamba_stored, _mamba_run, _last_tokens)
register(Mamba2, _mamba2_stored, _mamba2_run, _last_tokens)
register(ShortConv, _short_conv_stored, _short_conv_run, _last_tokens)
