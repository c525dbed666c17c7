"""Prefill: how fast an engine takes in a prompt, many tokens together.

    t = sum over micro-batches of soft_max(bytes / bandwidth, weights x tokens / rate)
        + attention(depth)

Where decode reads a weight for every product, a micro-batch reads it once for
all of its tokens: arithmetic binds, and an engine's matrix products have rates
of their own. Only what was measured is answered: None elsewhere.
"""

from collections.abc import Container, Sequence
from functools import lru_cache
from typing import NamedTuple

from fitcheck.footprint.reads import ReadGroup
from fitcheck.schema.engine import Prefill, PrefillGpu
from fitcheck.schema.model import Attention, LatentAttention, Model
from fitcheck.speed.attention import prompt_products
from fitcheck.speed.decode import Runner
from fitcheck.speed.engines import HALF_TYPES, typical_speed
from fitcheck.speed.roofline import soft_max

USUAL_PROMPT = 512
"""Tokens of the prompt whose rate is quoted, as in engines' own benchmarks (pp512)."""

# The share of weights whose type may lack a rate: the vectors and routers of a file.
_NEGLIGIBLE = 0.01


class _Rates(NamedTuple):
    """Weights x tokens a second of each group (None: negligible), products, and bytes read."""

    weights_per_s: tuple[float | None, ...]
    products_per_s: float
    bytes_per_s: float
    half_at: tuple[float, ...] | None = (
        None  # tokens of a batch, where a rate is reached by half; None: at once
    )


class Prompts:
    """What takes in prompts of any length."""

    runner: Runner

    def seconds(self, tokens: int, depth: int = 0) -> float | None:
        """The time until a prompt's last token is answered; None where nobody measured such a thing."""
        raise NotImplementedError

    def tokens_per_s(self) -> float | None:
        """The rate of the usual prompt behind the request's depth; None where nobody measured it."""
        usual = min(USUAL_PROMPT, self.runner.model.context_max or USUAL_PROMPT)
        seconds = self.seconds(usual, self.runner.request.depth)
        return usual / seconds if seconds else None


class Prefiller(Prompts):
    """A runner with weights in one format."""

    def __init__(self, runner: Runner, groups: Sequence[ReadGroup]) -> None:
        self.runner, self.groups = runner, groups
        self._rates = self._of_any_length()
        self._whole_batch_s = self._batch_s(self._rates, runner.request.ubatch) if self._rates else 0.0

    def seconds(self, tokens: int, depth: int = 0) -> float | None:
        rates, runner = self._rates, self.runner
        if rates is None:
            return None
        ubatch = runner.request.ubatch
        whole, rest = divmod(tokens, ubatch)
        products = prompt_products(runner.model, depth, tokens, ubatch, runner.engine.cell_padding)
        return (
            (whole * self._whole_batch_s if whole else 0.0)
            + (self._batch_s(rates, rest) if rest else 0.0)
            + products / rates.products_per_s
        )

    def _batch_s(self, rates: _Rates, tokens: int) -> float:
        """Seconds of the matrix products of one micro-batch."""
        half_at, per_s = rates.half_at or (0.0,) * len(self.groups), rates.bytes_per_s
        return sum(
            [
                soft_max(group.prompt_bytes / per_s, group.prompt_weights * (tokens + half) / rate)
                for group, rate, half in zip(self.groups, rates.weights_per_s, half_at, strict=True)
                if rate
            ]
        )

    def _of_any_length(self) -> _Rates | None:
        """What no length of the prompt changes."""
        known, device = self.runner.engine.prefill, self.runner.device
        if known is None or not _attends(self.runner.model):
            return None
        if self.runner.engine.device == "cpu":
            return self._of_cores(known)
        return self._of_gpu(device.prompts) if device.prompts else None

    def _of_cores(self, known: Prefill) -> _Rates | None:
        """All cores together: what one was measured to do, at this machine's speed of a core."""
        device, cores = self.runner.device, self.runner.cores
        found = {group.type: device.prefill_rate(group.type) for group in self.groups}
        rates = {name: rate for name, rate in found.items() if rate}
        flash = device.flash_attention
        attention = [row.products_per_s for row in known.attention if row.flash_attention == flash]
        if not (cores and attention and self._covered(rates)):
            return None
        power = cores * (device.core_speed or typical_speed(device.machine))
        of_groups = [rates.get(group.type) for group in self.groups]
        return _Rates(
            tuple(rate.weights_per_s * power if rate else None for rate in of_groups),
            attention[0] * power,
            self.runner.reading.bytes_per_s,
            tuple(rate.half_at if rate else 0.0 for rate in of_groups),
        )

    def _of_gpu(self, row: PrefillGpu) -> _Rates | None:
        """What a GPU of that name was published to do."""
        rates: dict[str, float] = {}
        for group in self.groups:
            rate = row.half_weights_per_s if group.type in HALF_TYPES else row.quantized_weights_per_s
            if rate is not None:
                rates[group.type] = rate
        if not self._covered(rates):
            return None
        of_groups = tuple(rates.get(group.type) for group in self.groups)
        return _Rates(of_groups, row.products_per_s, self.runner.reading.bytes_per_s)

    def _covered(self, rates: Container[str]) -> bool:
        """Whether all weights that matter are of types with a rate."""
        missing = sum([group.prompt_weights for group in self.groups if group.type not in rates])
        return missing <= _NEGLIGIBLE * sum([group.prompt_weights for group in self.groups])


@lru_cache(maxsize=512)
def _attends(model: Model) -> bool:
    """Recurrent layers scan a prompt by code whose speed nobody measured here."""
    return all(isinstance(layer.mixer, Attention | LatentAttention) for layer in model.layers)
