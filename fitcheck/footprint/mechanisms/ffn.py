"""Feed-forward blocks: dense, of experts, and RWKV's own."""

from fitcheck.footprint.mechanisms.parts import Mechanism, Tensor, matrix, mechanism, small, stacked
from fitcheck.schema.model import ChannelMix, Experts, FeedForward


@mechanism(FeedForward)
def _feed_forward(f: FeedForward, hidden: int) -> Mechanism:
    """Up and down, most often with a gate beside up."""
    wide = {"ffn_up": 2 * f.size} if f.fused_gate_up else {"ffn_up": f.size}
    if f.gated and not f.fused_gate_up:
        wide = {"ffn_gate": f.size, **wide}
    tensors = [matrix(name, "ffn", hidden, rows) for name, rows in wide.items()]
    tensors.append(matrix("ffn_down", "ffn", f.size, hidden))
    if f.bias:
        lengths = {**wide, "ffn_down": hidden}
        tensors += [small(name + ".bias", "ffn", length) for name, length in lengths.items()]
    if f.sub_norm:
        tensors.append(small("ffn_sub_norm.weight", "norm", f.size))
    return Mechanism(tuple(tensors))


@mechanism(Experts)
def _experts(e: Experts, hidden: int) -> Mechanism:
    """A router, its experts stacked in one tensor a role, and those every token passes."""
    inner = e.latent_size or hidden
    wide = ("gate", "up") if e.gated else ("up",)
    tensors = [small("ffn_gate_inp.weight", "experts", hidden, e.count)]
    each = {**dict.fromkeys(wide, (inner, e.size)), "down": (e.size, inner)}
    tensors += [
        stacked(f"ffn_{role}_exps", "experts", *shape, stack=e.count, read=e.active)
        for role, shape in each.items()
    ]
    if e.latent_size:
        tensors.append(matrix("ffn_latent_down", "experts", hidden, inner))
        tensors.append(matrix("ffn_latent_up", "experts", inner, hidden))
    if e.shared_size:
        tensors += [matrix(f"ffn_{role}_shexp", "ffn", hidden, e.shared_size) for role in wide]
        tensors.append(matrix("ffn_down_shexp", "ffn", e.shared_size, hidden))
    return Mechanism((*tensors, *_expert_vectors(e, hidden, wide)))


def _expert_vectors(e: Experts, hidden: int, wide: tuple[str, ...]) -> list[Tensor]:
    """Biases of router and experts, and the router of the shared expert."""
    vectors = []
    if e.shared_gate:
        vectors.append(small("ffn_gate_inp_shexp.weight", "experts", hidden))
    if e.router_bias:
        vectors.append(small("exp_probs_b.bias", "experts", e.count))
    if e.latent_norm and e.latent_size:
        vectors.append(small("ffn_latent_norm.weight", "norm", e.latent_size))
    if e.hash_vocab:  # integers of 32 bits, which weigh as much as F32
        vectors.append(small("ffn_gate_tid2eid.weight", "experts", e.active, e.hash_vocab, rows_read=1))
    if e.bias:
        lengths = {**dict.fromkeys(wide, e.size), "down": e.latent_size or hidden}
        vectors.append(small("ffn_gate_inp.bias", "experts", e.count))
        vectors += [
            small(f"ffn_{role}_exps.bias", "experts", length, e.count, rows_read=e.active)
            for role, length in lengths.items()
        ]
    return vectors


@mechanism(ChannelMix)
def _channel_mix(c: ChannelMix, hidden: int) -> Mechanism:
    """Key and value, with the last token's input mixed in."""
    tensors = [
        matrix("channel_mix_key", "ffn", hidden, c.size),
        matrix("channel_mix_value", "ffn", c.size, hidden),
        small("channel_mix_lerp", "ffn", hidden, 2 if c.receptance else 1),
    ]
    if c.receptance:
        tensors.append(matrix("channel_mix_receptance", "ffn", hidden, hidden))
    return Mechanism(tuple(tensors), state=hidden)
