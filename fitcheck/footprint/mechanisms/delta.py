"""Linear attention with a matrix state: what it stores, and what running it takes."""

from fitcheck.footprint.arena import Tape
from fitcheck.footprint.mechanisms.mamba import behind_last
from fitcheck.footprint.mechanisms.parts import (
    Mechanism,
    Tensor,
    matrix,
    project,
    register,
    small,
)
from fitcheck.schema.model import GatedDeltaNet, KimiDelta


def _gated_delta_net_stored(g: GatedDeltaNet, hidden: int) -> Mechanism:
    """A matrix of state a value head. Qwen3-Next keeps beta and alpha in one tensor."""
    values = g.value_heads * g.value_head_dim
    mixed = 2 * g.key_heads * g.key_head_dim + values
    gates = {"ssm_ba": 2} if g.fused_projections else {"ssm_alpha": 1, "ssm_beta": 1}
    tensors = (
        matrix("attn_qkv", "state", hidden, mixed),
        matrix("attn_gate", "state", hidden, values),
        *(matrix(name, "state", hidden, g.value_heads * times) for name, times in gates.items()),
        small("ssm_conv1d.weight", "state", g.conv_kernel, mixed),
        small("ssm_dt.bias", "state", g.value_heads),
        small("ssm_a", "state", g.value_heads),
        small("ssm_norm.weight", "norm", g.value_head_dim),
        matrix("ssm_out", "state", values, hidden),
    )
    state = (g.conv_kernel - 1) * mixed + g.key_head_dim * values
    return Mechanism(tensors, state=state)


def _gated_delta_net_run(g: GatedDeltaNet, tape: Tape, hidden: int, source: int) -> int:
    values, keys = g.value_heads * g.value_head_dim, g.key_heads * g.key_head_dim
    mixed_size = 2 * keys + values
    gathered = tape.take(sequence=(g.conv_kernel - 1) * mixed_size)
    joined = behind_last(tape, mixed_size, g.conv_kernel, gathered, tape.take(mixed_size))
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


def _kimi_delta_stored(k: KimiDelta, hidden: int) -> Mechanism:
    """A square of state a head; gates of low rank, as wide as a head."""
    inner = k.heads * k.head_dim
    low_rank = _low_rank("ssm_g", hidden, k.head_dim, inner)
    gates = (matrix("ssm_g", "state", hidden, inner),) if k.full_gate else low_rank
    tensors = (
        *(matrix(f"attn_{role}", "state", hidden, inner) for role in "qkv"),
        *(small(f"ssm_conv1d_{role}.weight", "state", k.conv_kernel, inner) for role in "qkv"),
        *_low_rank("ssm_f", hidden, k.head_dim, inner),
        *gates,
        matrix("ssm_beta", "state", hidden, k.heads),
        small("ssm_a", "state", 1, k.heads),
        small("ssm_dt.bias", "state", inner),
        small("ssm_norm.weight", "norm", k.head_dim),
        matrix("attn_output", "state", inner, hidden),
    )
    state = 3 * (k.conv_kernel - 1) * inner + k.head_dim * inner
    return Mechanism(tensors, state=state)


def _kimi_delta_run(k: KimiDelta, tape: Tape, hidden: int, source: int) -> int:
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


def _low_rank(name: str, cols: int, rank: int, rows: int) -> tuple[Tensor, Tensor]:
    """A matrix as a product of two narrow ones."""
    return matrix(name + "_a", "state", cols, rank), matrix(name + "_b", "state", rank, rows)


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


register(GatedDeltaNet, _gated_delta_net_stored, _gated_delta_net_run)
register(KimiDelta, _kimi_delta_stored, _kimi_delta_run)
