"""Feed-forward blocks in the compute buffer."""

from fitcheck.footprint.arena import NOTHING, Tape
from fitcheck.footprint.schedules.parts import project, schedule
from fitcheck.schema.model import ChannelMix, Experts, FeedForward


@schedule(FeedForward)
def _feed_forward(f: FeedForward, tape: Tape, hidden: int, source: int) -> int:
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


@schedule(Experts)
def _experts(e: Experts, tape: Tape, hidden: int, source: int) -> int:
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


@schedule(ChannelMix)
def _channel_mix(c: ChannelMix, tape: Tape, hidden: int, source: int) -> int:
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
