"""Prefill: how fast an engine takes in a prompt, many tokens together.

    t = sum over micro-batches of soft_max(bytes / bandwidth, weights x tokens / rate)
        + attention(depth) + elements / rate

Where decode reads a weight for every product, a micro-batch reads it once for
all of its tokens: arithmetic binds, and an engine's matrix products have rates
of their own. Only what was measured is answered: None elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fitcheck.footprint.memory import ReadGroup
from fitcheck.schema.engine import Engine, Prefill
from fitcheck.schema.machine import Machine
from fitcheck.schema.model import Attention, LatentAttention, Model
from fitcheck.schema.request import Request
from fitcheck.speed.attention import prompt_products
from fitcheck.speed.bandwidth import gpu_bandwidth, read_bandwidth
from fitcheck.speed.engines import core_speed, gpu_share, isa_of
from fitcheck.speed.roofline import soft_max

USUAL_PROMPT = 512
"""Tokens of the prompt whose rate is quoted, as in engines' own benchmarks (pp512)."""

# The share of weights whose type may lack a rate: the vectors and routers of a file.
_NEGLIGIBLE = 0.01


@dataclass(frozen=True, slots=True)
class Prompt:
    """Tokens per second of the usual prompt, and seconds until the first answer to the one asked for."""

    tokens_per_s: float
    ttft_s: float


@dataclass(frozen=True, slots=True)
class _Rates:
    """Weights x tokens a second of each group (None: negligible), and what else takes time."""

    weights_per_s: tuple[float | None, ...]
    products_per_s: float
    bytes_per_s: float
    s_per_element: float = 0.0


def prompt_speed(
    model: Model,
    groups: Sequence[ReadGroup],
    machine: Machine,
    engine: Engine,
    request: Request,
    tokens: int,
) -> Prompt | None:
    """The speed of prefill, and of ``tokens`` in all; None where nobody measured such a thing."""
    rates = _rates(groups, machine, engine, request)
    if rates is None or not _attends(model):
        return None
    usual = min(USUAL_PROMPT, model.context_max or USUAL_PROMPT)
    quoted = _seconds(model, groups, rates, engine, request, usual, request.depth)
    return Prompt(usual / quoted, _seconds(model, groups, rates, engine, request, tokens, 0))


def _attends(model: Model) -> bool:
    """Recurrent layers scan a prompt by code whose speed nobody measured here."""
    return all(isinstance(layer.mixer, Attention | LatentAttention) for layer in model.layers)


def _seconds(
    model: Model,
    groups: Sequence[ReadGroup],
    rates: _Rates,
    engine: Engine,
    request: Request,
    tokens: int,
    depth: int,
) -> float:
    """Whole micro-batches, then what is left of the last one; attention over both."""
    whole, rest = divmod(tokens, request.ubatch)
    batches = whole * _batch_s(groups, rates, request.ubatch) + (_batch_s(groups, rates, rest) if rest else 0)
    products = prompt_products(model, depth, tokens, request.ubatch, engine.cell_padding)
    elements = tokens * len(model.layers) * model.hidden_size
    return batches + products / rates.products_per_s + elements * rates.s_per_element


def _batch_s(groups: Sequence[ReadGroup], rates: _Rates, tokens: int) -> float:
    """Seconds of the matrix products of one micro-batch."""
    return sum(
        soft_max(group.prompt_bytes / rates.bytes_per_s, group.prompt_weights * tokens / rate)
        for group, rate in zip(groups, rates.weights_per_s, strict=True)
        if rate
    )


def _rates(groups: Sequence[ReadGroup], machine: Machine, engine: Engine, request: Request) -> _Rates | None:
    if engine.prefill is None:
        return None
    if engine.device == "gpu":
        return _of_gpu(groups, machine, engine, engine.prefill)
    return _of_cores(groups, machine, engine, engine.prefill, request)


def _of_cores(
    groups: Sequence[ReadGroup], machine: Machine, engine: Engine, known: Prefill, request: Request
) -> _Rates | None:
    """All cores together: what one was measured to do, at this machine's speed of a core."""
    isa, cores = isa_of(machine), _cores(machine, request)
    rates = {rate.type: rate.weights_per_s for rate in known.rates if rate.isa == isa}
    flash = request.flash_attention == "on" or (
        request.flash_attention == "auto" and engine.flash_attention_default
    )
    attention = [row.products_per_s for row in known.attention if row.flash_attention == flash]
    if not (cores and attention and _covered(groups, rates)):
        return None
    power = cores * (core_speed(engine, machine) or 1.0)
    bandwidth = read_bandwidth(machine, request.threads, engine.pages).bytes_per_s * engine.read_efficiency
    return _Rates(
        tuple(rates[group.type] * power if group.type in rates else None for group in groups),
        attention[0] * power,
        bandwidth,
        known.s_per_element / power,
    )


def _of_gpu(groups: Sequence[ReadGroup], machine: Machine, engine: Engine, known: Prefill) -> _Rates | None:
    """What a GPU of that name was published to do; attention multiplies as F16 does."""
    if not machine.gpus:
        return None
    gpu = machine.gpus[0]
    name = f" {gpu.name.lower().replace('-', ' ')} "
    rows = [row for row in known.gpus if any(f" {words} " in name for words in row.words)]
    rates = {type_: row.weights_per_s for row in rows for type_ in row.types}
    other = next((row.weights_per_s for row in rows if not row.types), None)
    found = tuple(rates.get(group.type, other) for group in groups)
    if other is None or "F16" not in rates:
        return None
    share = gpu_share(engine, gpu.name).read_efficiency
    return _Rates(found, rates["F16"], gpu_bandwidth(machine, gpu).bytes_per_s * share)


def _covered(groups: Sequence[ReadGroup], rates: dict[str, float]) -> bool:
    """Whether all weights that matter are of types with a rate."""
    missing = sum(group.prompt_weights for group in groups if group.type not in rates)
    return missing <= _NEGLIGIBLE * sum(group.prompt_weights for group in groups)


def _cores(machine: Machine, request: Request) -> int | None:
    """Cores that multiply: hyperthreads share one core's arithmetic. None where unknown."""
    cores = machine.cores or machine.threads or request.threads
    return min(cores, request.threads or cores) if cores else None
