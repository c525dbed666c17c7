"""What a pass asks of the device for weights of one type: bytes to read, and products to form."""

from collections.abc import Iterable, Iterator, Sequence

from fitcheck.footprint.reads import ReadGroup
from fitcheck.schema.machine import Gpu
from fitcheck.schema.model import Model
from fitcheck.speed.device import Device
from fitcheck.speed.engines import gpu_rate, gpu_rate_together
from fitcheck.speed.passes import at_most, experts_met
from fitcheck.speed.products import Matrices
from fitcheck.speed.roofline import Load

# How much faster than memory products are that don't show beside it: a fiftieth, or
# two tokens would take longer together than one after the other (roofline.soft_max).
_KEPT_UP = 1.02

# The share of weights whose type may lack figures: vectors and routers.
_NEGLIGIBLE = 0.01


def bytes_read(group: ReadGroup, model: Model, tokens: int) -> float:
    """By a pass: more experts than by a token, everything else once."""
    if not group.expert_bytes or tokens == 1:
        return group.bytes
    return group.bytes + group.expert_bytes * (experts_met(model, tokens) - 1)


def loads(group: ReadGroup, model: Model, device: Device) -> Iterable[Load]:
    """One group's work, on the cores that share it or on the GPU; experts' apart from the rest's."""
    if device.card:
        return (_of_card(group, model, device, device.card),)
    if device.tokens == 1:
        by = device.products(group.type)
        return (Load(group.bytes, group.weights, by.alone, by.overlap),)
    return _of_cores(group, model, device)


def _of_cores(group: ReadGroup, model: Model, device: Device) -> Iterator[Load]:
    by, speed, tokens = device.products(group.type), device.bytes_per_s, device.tokens
    routed = group.expert_bytes / group.bytes if group.bytes else 0.0
    yield by.load(_matrices(group, model, 1 - routed), tokens, speed)
    if routed:
        met = experts_met(model, tokens)
        yield by.of_experts.load(_matrices(group, model, routed * met), tokens / met, speed)


def _matrices(group: ReadGroup, model: Model, times: float) -> Matrices:
    """So many times what a token reads of the group; most rows are as long as the hidden state."""
    weights = group.weights * times
    return Matrices(group.bytes * times, weights, weights / model.hidden_size, group.odd_weights * times)


def _of_card(group: ReadGroup, model: Model, device: Device, card: Gpu) -> Load:
    """A pass never takes less than one token alone, whatever products of many tokens reach."""
    tokens, engine = device.tokens, device.engine
    alone = gpu_rate(engine, card, group.type)
    if tokens == 1 or not group.bytes:  # a type that only tensors have which decode doesn't read
        return Load(group.bytes, group.weights, alone)
    together = gpu_rate_together(engine, card, group.type)
    if alone is None and together is not None:  # memory bound it, so its products kept up at least
        alone = _KEPT_UP * group.weights * device.bytes_per_s / group.bytes
    if alone and together:
        together = max(alone, together)
    work = group.weights * tokens
    return Load(bytes_read(group, model, tokens), work, at_most(alone, together, tokens))


def known_together(groups: Sequence[ReadGroup], device: Device) -> bool:
    """Whether the engine's products of several tokens were measured, for all weights that matter."""
    if device.card:
        return False
    unknown = sum(group.weights for group in groups if not device.products(group.type).codes)
    return unknown <= _NEGLIGIBLE * sum(group.weights for group in groups)
