"""RWKV 6 and 7, time mix and channel mix: what they store, and what running them takes."""

from fitcheck.footprint.arena import Tape
from fitcheck.footprint.mechanisms.parts import (
    Mechanism,
    Tensor,
    half,
    matrix,
    project,
    register,
    small,
)
from fitcheck.schema.model import ChannelMix, Rwkv6, Rwkv7


def _rwkv6_stored(r: Rwkv6, hidden: int) -> Mechanism:
    """Five matrices and small ones that mix the last token in; those are never quantized."""
    tensors = (
        *_time_mix(hidden, "key", "value", "receptance", "gate", "output"),
        small("time_mix_w1.weight", "state", hidden, 5 * r.mix_rank),
        small("time_mix_w2.weight", "state", r.mix_rank, 5 * hidden),
        small("time_mix_decay_w1.weight", "state", hidden, r.decay_rank),
        small("time_mix_decay_w2.weight", "state", r.decay_rank, hidden),
        small("time_mix_first.weight", "state", hidden),
        small("time_mix_lerp", "state", hidden, 6),
        small("time_mix_decay.weight", "state", hidden),
        small("time_mix_ln", "norm", hidden, 2),
    )
    return Mechanism(tensors, state=_rwkv_state(r.head_dim, hidden))


def _rwkv6_run(r: Rwkv6, tape: Tape, hidden: int, source: int) -> int:
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


def _rwkv7_stored(r: Rwkv7, hidden: int) -> Mechanism:
    """Like RWKV 6; decay, learning rate, value and gate come through low ranks in 16 bits."""
    ranks = {"a": r.rate_rank, "v": r.value_rank, "g": r.gate_rank}
    tensors = [
        *_time_mix(hidden, "key", "value", "receptance", "output"),
        small("time_mix_w1.weight", "state", hidden, r.decay_rank),
        small("time_mix_w2.weight", "state", r.decay_rank, hidden),
        small("time_mix_lerp", "state", hidden, 6),
        small("time_mix_biases", "state", hidden, 6),  # w0, a0, v0, k_k, k_a, r_k
        small("time_mix_ln", "norm", hidden, 2),
    ]
    for role, rank in ranks.items():
        tensors.append(half(f"time_mix_{role}1", "state", hidden, rank))
        tensors.append(half(f"time_mix_{role}2", "state", rank, hidden))
    return Mechanism(tuple(tensors), state=_rwkv_state(r.head_dim, hidden))


def _rwkv7_run(r: Rwkv7, tape: Tape, hidden: int, source: int) -> int:
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


def _time_mix(hidden: int, *roles: str) -> tuple[Tensor, ...]:
    return tuple(matrix(f"time_mix_{role}", "state", hidden, hidden) for role in roles)


def _rwkv_state(head_dim: int, hidden: int) -> int:
    """A square a head and the last token's input."""
    return hidden + hidden * head_dim


def _shift(tape: Tape, hidden: int) -> tuple[int, int]:
    """The state of a layer's time mix, and its input less the token before."""
    tape.shifted, state = tape.gathered
    tape.gathered = []
    return state, tape.take(hidden)


def _leave(tape: Tape, hidden: int, mixed: int, source: int) -> int:
    """The product, and the sum, which gets a tensor of its own. The input is stored with the next block's."""
    tape.unstored = source
    return project(tape, hidden, project(tape, hidden, mixed))


def _first_value_mixed_in(r: Rwkv7, tape: Tape, hidden: int) -> int:
    """Values, with those of the first layer, which stay for all others."""
    value = tape.take(hidden)
    if tape.lasting is None:
        tape.lasting = value
        return tape.keep(value)
    less = tape.take(hidden)
    tape.drop(project(tape, hidden, tape.take(r.value_rank)), less)
    return value


def _shift_and_state(part: Rwkv6 | Rwkv7, hidden: int) -> tuple[int, ...]:
    return 2 * hidden, hidden * part.head_dim


def _channel_mix_stored(c: ChannelMix, hidden: int) -> Mechanism:
    """Key and value, with the last token's input mixed in."""
    tensors = [
        matrix("channel_mix_key", "ffn", hidden, c.size),
        matrix("channel_mix_value", "ffn", c.size, hidden),
        small("channel_mix_lerp", "ffn", hidden, 2 if c.receptance else 1),
    ]
    if c.receptance:
        tensors.append(matrix("channel_mix_receptance", "ffn", hidden, hidden))
    return Mechanism(tuple(tensors), state=hidden)


def _channel_mix_run(c: ChannelMix, tape: Tape, hidden: int, source: int) -> int:
    """Reads the token before, too; stores its own last one with the time mix's."""
    stored = tape.take(sequence=2 * hidden)
    tape.drop(tape.unstored, stored)
    tape.expand()
    before = tape.take(hidden)
    tape.drop(tape.shifted)
    rows = [before, source]
    if tape.picks:
        tape.picked = True
        rows = [project(tape, hidden, one) for one in rows]
    gate = None
    less = project(tape, hidden, rows[0])
    if c.receptance:
        gate = project(tape, hidden, tape.take(hidden))
    tape.drop(rows[1])
    value = project(tape, hidden, project(tape, c.size, less))
    if gate is None:
        return value
    tape.drop(value)
    return gate


register(Rwkv6, _rwkv6_stored, _rwkv6_run, _shift_and_state)
register(Rwkv7, _rwkv7_stored, _rwkv7_run, _shift_and_state)
register(ChannelMix, _channel_mix_stored, _channel_mix_run)
