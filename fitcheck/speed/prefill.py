"""Prefill: how fast an engine takes in a prompt, many tokens together.

    t = sum over micro-batches of soft_max(bytes / bandwidth, weights x tokens / rate)
        + attention(depth)

Where decode reads a weight for every product, a micro-batch reads it once for
all of its tokens: arithmetic binds, and an engine's matrix products have rates
of their own. Only what was measured is answered: None elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from fitcheck.footprint.memory import ReadGroup
from fitcheck.schema.engine import Engine, Prefill
from fitcheck.schema.machine import Gpu, Machine
from fitcheck.schema.model import Attention, LatentAttention, Model
from fitcheck.schema.request import Request
from fitcheck.speed.attention import prompt_products
from fitcheck.speed.bandwidth import gpu_bandwidth, read_bandwidth
from fitcheck.speed.engines import HALF_TYPES, core_speed, gpu_share, isa_of, prefill_gpu
from fitcheck.speed.roofline import soft_max

USUAL_PROMPT = 512
"""Tokens of the prompt whose rate is quoted, as in engines' own benchmarks (pp512)."""

# The share of weights whose type may lack a rate: the vectors and routers of a file.
_NEGLIGIBLE = 0.01


@dataclass(frozen=True, slots=True)
class _Rates:
    """Weights x tokens a second of each group (None: negligible), products, and bytes read."""

    weights_per_s: tuple[float | None, ...]
    products_per_s: float
    bytes_per_s: float


@dataclass(frozen=True)
class Prefiller:
    """A model in one format on one engine and machine, ready to take in prompts of any length."""

    model: Model
    groups: Sequence[ReadGroup]
    machine: Machine
    engine: Engine
    request: Request

    def tokens_per_s(self) -> float | None:
        """The rate of the usual prompt behind the request's depth; None where nobody measured it."""
        usual = min(USUAL_PROMPT, self.model.context_max or USUAL_PROMPT)
        seconds = self.seconds(usual, self.request.depth)
        return usual / seconds if seconds else None

    def seconds(self, tokens: int, depth: int = 0) -> float | None:
        """The time until a prompt's last token is answered; None where nobody measured such a thing."""
        rates = self._rates
        if rates is None:
            return None
        ubatch = self.request.ubatch
        whole, rest = divmod(tokens, ubatch)
        products = prompt_products(self.model, depth, tokens, ubatch, self.engine.cell_padding)
        return (
            (whole * self._whole_batch_s if whole else 0.0)
            + (self._batch_s(rates, rest) if rest else 0.0)
            + products / rates.products_per_s
        )

    def _batch_s(self, rates: _Rates, tokens: int) -> float:
        """Seconds of the matrix products of one micro-batch."""
        return sum(
            soft_max(group.prompt_bytes / rates.bytes_per_s, group.prompt_weights * tokens / rate)
            for group, rate in zip(self.groups, rates.weights_per_s, strict=True)
            if rate
        )

    @cached_property
    def _whole_batch_s(self) -> float:
        return self._batch_s(self._rates, self.request.ubatch) if self._rates else 0.0

    @cached_property
    def _rates(self) -> _Rates | None:
        """What no length of the prompt changes."""
        known = self.engine.prefill
        if known is None or not _attends(self.model):
            return None
        if self.engine.device == "cpu":
            return self._of_cores(known)
        return self._of_gpu(self.machine.gpus[0]) if self.machine.gpus else None

    def _of_cores(self, known: Prefill) -> _Rates | None:
        """All cores together: what one was measured to do, at this machine's speed of a core."""
        isa, cores = isa_of(self.machine), self._cores()
        rates = {rate.type: rate.weights_per_s for rate in known.rates if rate.isa == isa}
        flash = self._flash_attention()
        attention = [row.products_per_s for row in known.attention if row.flash_attention == flash]
        if not (cores and attention and self._covered(rates)):
            return None
        power = cores * (core_speed(self.engine, self.machine) or 1.0)
        bandwidth = read_bandwidth(self.machine, self.request.threads, self.engine.pages)
        return _Rates(
            tuple(rates[group.type] * power if group.type in rates else None for group in self.groups),
            attention[0] * power,
            bandwidth.bytes_per_s * self.engine.read_efficiency,
        )

    def _of_gpu(self, gpu: Gpu) -> _Rates | None:
        """What a GPU of that name was published to do."""
        row = prefill_gpu(self.engine, gpu)
        if row is None:
            return None
        rates: dict[str, float] = {}
        for group in self.groups:
            rate = row.half_weights_per_s if group.type in HALF_TYPES else row.quantized_weights_per_s
            if rate is not None:
                rates[group.type] = rate
        if not self._covered(rates):
            return None
        share = gpu_share(self.engine, gpu.name).read_efficiency
        bandwidth = gpu_bandwidth(self.machine, gpu).bytes_per_s * share
        return _Rates(tuple(rates.get(group.type) for group in self.groups), row.products_per_s, bandwidth)

    def _covered(self, rates: dict[str, float]) -> bool:
        """Whether all weights that matter are of types with a rate."""
        missing = sum(group.prompt_weights for group in self.groups if group.type not in rates)
        return missing <= _NEGLIGIBLE * sum(group.prompt_weights for group in self.groups)

    def _cores(self) -> int | None:
        """Cores that multiply: hyperthreads share one core's arithmetic. None where unknown."""
        asked = self.request.threads
        cores = self.machine.cores or self.machine.threads or asked
        return min(cores, asked or cores) if cores else None

    def _flash_attention(self) -> bool:
        asked = self.request.flash_attention
        return self.engine.flash_attention_default if asked == "auto" else asked == "on"


@lru_cache(maxsize=512)
def _attends(model: Model) -> bool:
    """Recurrent layers scan a prompt by code whose speed nobody measured here."""
    return all(isinstance(layer.mixer, Attention | LatentAttention) for layer in model.layers)
