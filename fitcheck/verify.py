"""A prediction set beside a run of packed kernels in the very shape of the model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median

from fitcheck.bench.decode import DecodeRun, Progress, run_decode
from fitcheck.bench.energy import Meter, NoMeter, find_meter
from fitcheck.bench.environment import environment
from fitcheck.bench.kernels import cached_rate
from fitcheck.bench.native import arrangement, kernel_isa
from fitcheck.bench.native.decoder import layer_bytes, outside_bytes
from fitcheck.bench.shape import DecodeShape, decode_shape, weights_by_width
from fitcheck.bench.statistics import doubt, ratios
from fitcheck.bench.threads import threads_for
from fitcheck.errors import BadInput, NotEnoughMemory
from fitcheck.footprint.kv_cache import kv_read_bytes
from fitcheck.footprint.mixes import find_format
from fitcheck.footprint.reads import ReadGroup, read_groups
from fitcheck.planner import check_room, context_for
from fitcheck.schema.engine import OWN_ENGINE, Engine
from fitcheck.schema.machine import KernelRate, Machine, ReadBandwidth
from fitcheck.schema.measurement import Verification
from fitcheck.schema.model import Model
from fitcheck.schema.request import Request
from fitcheck.speed.decode import Runner
from fitcheck.units import MIB, gib

DEFAULT_BUDGET_S = 8.0

# Left free beside the weights: vectors, Python itself, and room for whatever
# else the machine does while it is tested.
MARGIN_BYTES = 256 * MIB

RATES_SHARE = 0.1  # of the progress bar: each kernel from the cache, before the weights are filled


def verify(
    model: Model,
    format_name: str,
    machine: Machine,
    engines: Sequence[Engine],
    request: Request,
    *,
    budget_s: float = DEFAULT_BUDGET_S,
    progress: Progress | None = None,
) -> Verification:
    """Run decode steps of the model's shape and compare with the prediction.

    Each round is predicted from the plain reads between its layers and from
    what each kernel does from the cache; nothing of the products themselves
    is known to the prediction.
    Takes all layers where available memory holds them, else as many whole
    ones as it does; then both figures are for the whole model, with the time
    of the layers that ran scaled up. Raises BadInput for what has no kernels,
    NotEnoughMemory where not one layer fits.
    """
    name = find_format(format_name).name
    context = context_for(model, request.context)
    check_room(request, context)
    whole = decode_shape(model, name, context)
    shape = _fitting(whole, machine)
    threads = threads_for(machine, request.threads)
    own = next(engine for engine in engines if engine.name == OWN_ENGINE)
    surroundings = environment(machine, own.pages)
    tell = progress or (lambda share: None)
    here = replace(machine, overrides=(), kernel_rates=_rates(whole, tell))
    meter = find_meter()
    found = None if isinstance(meter, NoMeter) else meter
    run = run_decode(shape, threads, request.depth, budget_s, progress=_after_rates(tell), meter=found)
    asked = replace(request, threads=threads, context=context)
    return _Outcome(model, name, asked, whole, shape, here, own, run).verification(surroundings, meter)


@dataclass(frozen=True)
class _Outcome:
    """What ran, and what it is compared with."""

    model: Model
    format: str
    request: Request  # with its threads and its context
    whole: DecodeShape
    shape: DecodeShape  # the layers that ran
    machine: Machine
    own: Engine
    run: DecodeRun

    def verification(self, surroundings: dict[str, str], meter: Meter | NoMeter) -> Verification:
        """Medians over the rounds; every round's error is against its own prediction."""
        steps, reads = self._steps, self.run.read_bytes_per_s
        measured, predicted = [1 / step for step in steps], self._predictions()
        bytes_per_token = sum(group.bytes for group in self._groups) + self._cache_bytes
        shares = ratios([bytes_per_token / step for step in steps], reads)
        why = doubt(shares, reads)
        joules, source = _energy(self.run.joules_per_step, meter, self._share_run)
        return Verification(
            model=self.model.name,
            format=self.format,
            context=self.request.context or 0,
            depth=self.request.depth,
            threads=self.request.threads or 1,
            isa=kernel_isa(arrangement(self.whole.layers[0].query.type)),
            layers_run=len(self.shape.layers),
            layers_total=len(self.whole.layers),
            predicted_tokens_per_s=median(predicted),
            measured_tokens_per_s=median(measured),
            error=median(ratios(predicted, measured)) - 1,
            resident_bytes=self.run.resident_bytes,
            read_bandwidth_bytes_per_s=median(reads),
            share_of_read_bandwidth=median(shares),
            bytes_per_token=bytes_per_token,
            basis="measured",
            raw=tuple(steps),
            raw_read=reads,
            stable=why is None,
            unstable_why=why,
            energy_joules_per_token=joules,
            energy_source=source,
            environment=surroundings,
        )

    @property
    def _share_run(self) -> float:
        return len(self.shape.layers) / len(self.whole.layers)

    @property
    def _steps(self) -> list[float]:
        """Seconds of a token through all layers, those that ran standing for the rest."""
        return [step.layers_s / self._share_run + step.output_s for step in self.run.steps]

    @cached_property
    def _groups(self) -> tuple[ReadGroup, ...]:
        return read_groups(self.model, self.format)

    @property
    def _cache_bytes(self) -> int:
        return kv_read_bytes(self.model, self.request.depth)

    def _predictions(self) -> list[float]:
        """Tokens a second by each round's reads, without the vectors that no kernel multiplies by."""
        multiplied = [group for group in self._groups if _has_kernel(group)]
        machines = (self._reading(rate) for rate in self.run.read_bytes_per_s)
        runners = (Runner(self.model, machine, self.own, self.request) for machine in machines)
        decodes = (runner.decoder(multiplied).at(self.request.depth) for runner in runners)
        return [decode.tokens_per_s.expected for decode in decodes]

    def _reading(self, bytes_per_s: float) -> Machine:
        """The machine with the bandwidth of one round, and no other."""
        rows = (ReadBandwidth(self.request.threads or 1, self.own.pages, bytes_per_s),)
        return replace(self.machine, read_bandwidth=rows, peak_bandwidth_bytes_per_s=None)


def _energy(joules: float | None, meter: Meter | NoMeter, share_run: float) -> tuple[float | None, str]:
    """Joules a token and what counted them; or why nothing did."""
    if isinstance(meter, NoMeter):
        return None, meter.why
    if joules is None:
        return None, f"{meter.source}: it stood still"
    if share_run < 1:
        return None, f"{meter.source}: not counted, since not all layers ran"
    return joules, meter.source


def _fitting(shape: DecodeShape, machine: Machine) -> DecodeShape:
    """The shape with as many whole layers as available memory holds."""
    most = _free_bytes(machine)
    free = most - outside_bytes(shape)
    kept = 0
    for layer in shape.layers:
        free -= layer_bytes(shape, layer)
        if free < 0:
            break
        kept += 1
    if kept == 0:
        raise NotEnoughMemory(
            f"not one layer fits in the {gib(most)} that are free",
            "close programs, or choose a smaller model, format or --context",
        )
    return replace(shape, layers=shape.layers[:kept])


def _free_bytes(machine: Machine) -> int:
    """What a run may take: never more than is free now, nor than --ram or a limit allows."""
    known = [size for size in (machine.available_bytes, machine.limit_bytes, machine.ram_bytes) if size]
    if not known:
        raise BadInput("nobody knows how much memory is free here", "say how much to use: --ram 8G")
    return max(0, min(known) - MARGIN_BYTES)


def _after_rates(tell: Progress) -> Progress:
    return lambda share: tell(RATES_SHARE + (1 - RATES_SHARE) * share)


def _rates(shape: DecodeShape, tell: Progress) -> tuple[KernelRate, ...]:
    """What one core does of each type from its cache, in rows as long as the model's, measured now.

    Short rows are slower: every row ends in a sum over the vector's lanes.
    """
    work: dict[str, list[tuple[int, float]]] = {}
    widths = weights_by_width(shape)
    for done, ((name, cols), weights) in enumerate(widths.items()):
        tell(RATES_SHARE * done / len(widths))
        rate = cached_rate(arrangement(name), cols)
        work.setdefault(name, []).append((weights, weights / rate))
    return tuple(
        KernelRate(
            name,
            kernel_isa(arrangement(name)),
            sum(weights for weights, _ in parts) / sum(seconds for _, seconds in parts),
            "measured",
        )
        for name, parts in work.items()
    )


def _has_kernel(group: ReadGroup) -> bool:
    """Vectors stay F32 and are a thousandth of what is read; no kernel multiplies by them."""
    return group.type != "F32"
