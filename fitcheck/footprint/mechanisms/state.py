"""Recurrent mechanisms: a state of fixed size, whatever the context."""

from fitcheck.footprint.mechanisms.parts import Mechanism, Tensor, half, matrix, mechanism, small
from fitcheck.schema.model import GatedDeltaNet, KimiDelta, Mamba, Mamba2, Rwkv6, Rwkv7, ShortConv


@mechanism(Mamba)
def _mamba(m: Mamba, hidden: int) -> Mechanism:
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


@mechanism(Mamba2)
def _mamba2(m: Mamba2, hidden: int) -> Mechanism:
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


@mechanism(GatedDeltaNet)
def _gated_delta_net(g: GatedDeltaNet, hidden: int) -> Mechanism:
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


@mechanism(KimiDelta)
def _kimi_delta(k: KimiDelta, hidden: int) -> Mechanism:
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


def _low_rank(name: str, cols: int, rank: int, rows: int) -> tuple[Tensor, Tensor]:
    """A matrix as a product of two narrow ones."""
    return matrix(name + "_a", "state", cols, rank), matrix(name + "_b", "state", rank, rows)


@mechanism(ShortConv)
def _short_conv(c: ShortConv, hidden: int) -> Mechanism:
    """Only the last tokens are kept."""
    tensors = (
        small("shortconv.conv.weight", "state", c.conv_kernel, hidden),
        matrix("shortconv.in_proj", "state", hidden, 3 * hidden),
        matrix("shortconv.out_proj", "state", hidden, hidden),
    )
    return Mechanism(tensors, state=(c.conv_kernel - 1) * hidden)


@mechanism(Rwkv6)
def _rwkv6(r: Rwkv6, hidden: int) -> Mechanism:
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


@mechanism(Rwkv7)
def _rwkv7(r: Rwkv7, hidden: int) -> Mechanism:
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


def _time_mix(hidden: int, *roles: str) -> tuple[Tensor, ...]:
    return tuple(matrix(f"time_mix_{role}", "state", hidden, hidden) for role in roles)


def _rwkv_state(head_dim: int, hidden: int) -> int:
    """A square a head and the last token's input."""
    return hidden + hidden * head_dim
