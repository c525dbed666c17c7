"""An engine on one device of a machine: what neither the model nor its format changes."""

from dataclasses import replace
from functools import cached_property

from fitcheck.schema.engine import Engine, PrefillGpu, TypeRate
from fitcheck.schema.machine import Gpu, Machine
from fitcheck.schema.request import Request
from fitcheck.speed.attention import Attending
from fitcheck.speed.bandwidth import crosses_sockets, gpu_bandwidth, read_bandwidth
from fitcheck.speed.engines import (
    CoreRate,
    across_sockets,
    attention_rate,
    codes_for_many,
    core_rates,
    core_speed,
    gpu_share,
    isa_of,
    prefill_gpu,
)
from fitcheck.speed.passes import pass_of
from fitcheck.speed.products import Code, Products


class Device:
    """The CPU, or the GPU that computes, as the engine has it."""

    def __init__(self, machine: Machine, engine: Engine, request: Request, gpu: Gpu | None = None) -> None:
        """``gpu`` is the machine's first where an engine that runs on GPUs names none."""
        self.machine, self.engine = machine, engine
        self.card = (gpu or next(iter(machine.gpus), None)) if engine.device == "gpu" else None
        self.cores = _cores(machine, request.threads)
        self.together = pass_of(request)  # the tokens of a step
        self.tokens, self.kv_type = self.together.tokens, request.kv_type
        asked, usual = request.flash_attention, engine.flash_attention_default
        self.flash_attention = usual if asked == "auto" else asked == "on"
        if self.card:
            share = gpu_share(engine, self.card.name)
            self.bandwidth, efficiency = gpu_bandwidth(machine, self.card), share.read_efficiency
            self.overhead_s_per_layer = share.overhead_s_per_layer
        else:
            self.bandwidth = read_bandwidth(machine, request.threads, engine.pages)
            if engine.sockets and crosses_sockets(machine):
                # Even a measured rate is of threads that read beside them, as this engine's don't.
                engine = self.engine = across_sockets(engine, engine.sockets)
                self.bandwidth = self.bandwidth._replace(basis="assumed")
            efficiency, self.overhead_s_per_layer = engine.read_efficiency, engine.overhead_s_per_layer
        self.bytes_per_s = self.bandwidth.bytes_per_s * efficiency  # what the engine reaches
        self._products: dict[str, Products] = {}
        self._codes = codes_for_many(self.engine, machine)

    @cached_property
    def core_speed(self) -> float | None:
        """A core beside the one that the engine's rates come from."""
        return core_speed(self.engine, self.machine)

    @cached_property
    def attending(self) -> Attending | None:
        """How its cores attend; None where nobody measured it."""
        rate = attention_rate(self.engine, self.kv_type, self.flash_attention, isa_of(self.machine))
        if rate is None or self.cores is None:
            return None
        if self.tokens > 1:  # threads share cells for one token alone
            rate = replace(rate, shares_cells_from=None)
        return Attending(rate, self.engine.cell_padding, self.kv_type, self.cores, self.core_speed or 1.0)

    @cached_property
    def _rates(self) -> dict[str, CoreRate]:
        return core_rates(self.engine, self.machine)

    def rate(self, weight_type: str) -> CoreRate | None:
        """Of one core; None where nobody measured it."""
        return self._rates.get(weight_type)

    def prefill_rate(self, weight_type: str) -> TypeRate | None:
        """Of one core that the engine's rates come from, for a whole prompt."""
        return next(reversed(self._codes.get(weight_type, ())), None)

    @cached_property
    def prompts(self) -> PrefillGpu | None:
        """What its card does with prompts; None where nobody published it, or where cores compute."""
        return prefill_gpu(self.engine, self.card) if self.card else None

    def products(self, weight_type: str) -> Products:
        """How the cores multiply tokens by this type."""
        if weight_type not in self._products:
            self._products[weight_type] = self._looked_up(weight_type)
        return self._products[weight_type]

    def _looked_up(self, weight_type: str) -> Products:
        rate, cores = self.rate(weight_type), self.cores
        if rate is None or not cores:
            return Products(None, None)
        if self.tokens == 1:
            return Products(rate.of(cores), None, overlap=rate.overlap)
        power, turn_s = cores * (self.core_speed or 1.0), rate.turn_s / cores if cores > 1 else 0.0
        codes = tuple(Code(code, power) for code in self._codes.get(weight_type, ()))
        return Products(rate.of(cores), rate.again(cores), turn_s, codes, rate.overlap)


def _cores(machine: Machine, threads: int | None) -> int | None:
    """Cores that multiply: hyperthreads share one core's arithmetic. None where unknown."""
    cores = machine.cores or machine.threads or threads
    return min(cores, threads or cores) if cores else None
