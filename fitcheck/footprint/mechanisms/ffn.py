"""Feed-forward blocks, dense and of experts: what they store, and what running them takes."""

from fitcheck.footprint.arena import NOTHING, Tape
from fitcheck.footprint.mechanisms.parts import (
    Mechanism,
    Tensor,
    matrix,
    project,
    register,
    small,
    stacked,
)
from fitcheck.schema.model import Experts, FeedForward


def _feed_forward_stored(f: FeedForward, hidden: int) -> Mechanism:
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


def _feed_forward_run(f: FeedForward, tape: Tape, hidden: int, source: int) -> int:
    return project(tape, hidden, _widen(tape, f.size, source, gated=f.gated, fused=f.fused_gate_up))


def _widen(tape: Tape, size: int, source: int, *, gated: bool, fused: bool = False) -> int:
    """Gate and up, and their product; without a gate the activation works in place."""
    if not gated:
        return project(tape, size, source)
    if fused:
        return project(tape, size, project(tape, 2 * size, source))
    if tape.activates_apart:
        product = project(tape, size, tape.take(size))
        tape.drop(project(tape, size, source))
        return product
    wide = (tape.take(size), project(tape, size, source))
    product = tape.take(size)
    tape.drop(*wide)
    return product


def _experts_stored(e: Experts, hidden: int) -> Mechanism:
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


def _experts_run(e: Experts, tape: Tape, hidden: int, source: int) -> int:
    inner = e.latent_size or hidden
    shared = tape.keep(source) if e.shared_size else None
    apart = source == NOTHING
    chosen, weights = _route(e, tape, hidden if apart else 0)
    if apart:
        source = tape.take(hidden)
    if e.active == 1:  # Llama 4 weights what goes in, others what comes out
        source = project(tape, hidden, source)
    if e.latent_size:
        source = project(tape, inner, source)
    wide = _widen(tape, e.active * e.size, source, gated=e.gated)
    down = project(tape, e.active * inner, wide)
    if apart:
        scales = tape.take(e.count)  # of each expert, and of the chosen ones
        tape.drop(scales, tape.take(e.active))
    tape.drop(chosen, weights)
    output = project(tape, inner, down)
    tape.expand()
    if e.latent_size:
        output = project(tape, hidden, output)
    if shared is not None:
        _share(e, tape, hidden, shared)
    return output


def _share(e: Experts, tape: Tape, hidden: int, source: int) -> None:
    """The expert of every token; its gate, where it has one, reads the source after it."""
    if e.shared_gate:
        tape.keep(source)
    shared = project(tape, hidden, _widen(tape, e.shared_size, source, gated=e.gated))
    if e.shared_gate:
        tape.drop(project(tape, 1, source))
    tape.drop(shared)


def _route(e: Experts, tape: Tape, normed: int) -> tuple[int, int]:
    """The router's order of experts, and the weights of the chosen. It may norm its input itself."""
    scores = project(tape, e.count, tape.take(normed)) if normed else tape.take(e.count)
    biased = tape.take(e.count) if e.router_bias or e.active == 1 else None
    order = tape.take(e.active if e.hash_vocab else e.count)
    if biased is not None:
        tape.drop(biased)
    if e.hash_vocab:
        tape.drop(tape.tokens)
    weights = project(tape, e.active, scores)
    if tape.norms_weights or e.router_bias:
        total = tape.take(1)
        weights = project(tape, e.active, weights)
        tape.drop(total)
    return order, weights


register(FeedForward, _feed_forward_stored, _feed_forward_run)
register(Experts, _experts_stored, _experts_run)
