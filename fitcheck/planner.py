"""The answer: a Model, a Machine and a Request in, a Plan out.

Pure: no clock, no files, no environment. Nothing else in fitcheck decides
whether a format fits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fitcheck.budget import Budget, budget_of
from fitcheck.errors import BadInput, UnknownName
from fitcheck.footprint.memory import Footprint, footprint, max_context
from fitcheck.footprint.mixes import FORMATS
from fitcheck.footprint.stored import Stored, stored_as, stored_in
from fitcheck.footprint.tensors import active_parameters, parameters
from fitcheck.schema.engine import OWN_ENGINE, Engine
from fitcheck.schema.machine import Machine
from fitcheck.schema.model import Model
from fitcheck.schema.plan import Fits, FormatPlan, MachineSummary, ModelSummary, Plan
from fitcheck.schema.request import Request
from fitcheck.schema.weights import FileWeights
from fitcheck.speed.bandwidth import gpu_bandwidth, read_bandwidth
from fitcheck.speed.calibration import calibration_notes
from fitcheck.speed.decode import Decoder
from fitcheck.speed.prefill import Prefiller
from fitcheck.verdict import quality_note, verdict, why

DEFAULT_CONTEXT = 4096

# Below this share of the budget a fit is tight: the allocator's slack, a second
# program or a longer prompt is enough to break it.
TIGHT_SHARE = 0.05

# Above 8.5 bits no perplexity gain was ever measured (Q8_0: +0.04 % on
# Llama-3-8B), so bits beyond it only cost speed.
BEST_BITS = 8.6


def plan(
    model: Model,
    machine: Machine,
    request: Request,
    engines: Sequence[Engine],
    *,
    asked: str | None = None,
    file: FileWeights | None = None,
) -> Plan:
    """Judge every requested format (all where none is named) on the machine, or one file's weights.

    ``asked`` is what the user typed for the model, where it isn't its name.
    Raises BadInput where the machine's memory is unknown or the context is
    longer than the model's, and UnknownName for a format nobody knows.
    """
    context = context_for(model, request)
    request = replace(request, context=context)
    budget = budget_of(machine, request)
    judge = _Judge(model, machine, request, context, budget, engines)
    plans = tuple(judge.plan(stored) for stored in _candidates(model, request, file))
    best = _best(model, plans)
    return Plan(
        _summary(model, asked),
        _machine_summary(machine, budget, engines),
        request,
        plans,
        best.format if best else None,
        verdict(model, budget, plans, best),
    )


def _candidates(model: Model, request: Request, file: FileWeights | None) -> Iterator[Stored]:
    if file is not None:
        yield stored_in(file)
        return
    for name in request.formats or FORMATS:
        yield stored_as(model, name)


@dataclass(frozen=True)
class _Judge:
    """What stays the same from format to format."""

    model: Model
    machine: Machine
    request: Request
    context: int
    budget: Budget
    engines: Sequence[Engine]

    def plan(self, stored: Stored) -> FormatPlan:
        need = footprint(self.model, stored.weights_bytes, self.request, self.context)
        longest = max_context(self.model, stored.weights_bytes, self.request, self.budget.usable_bytes)
        fits = _fits(need, self.budget)
        row = FormatPlan(
            format=stored.format,
            engine=stored.engines[0],
            bits_per_weight=8 * need.weights_bytes / parameters(self.model),
            weights_bytes=need.weights_bytes,
            kv_bytes=need.kv_bytes,
            compute_bytes=need.compute_bytes,
            runtime_bytes=need.runtime_bytes,
            total_bytes=need.total_bytes,
            fits=fits,
            headroom_bytes=self.budget.usable_bytes - need.total_bytes,
            max_context=longest,
            why=why(need, fits, longest, self.budget),
            needs_native_training=stored.ternary and not self.model.trained_ternary,
            quality_note=quality_note(stored.ternary, self.model),
            notes=stored.notes,
        )
        return self._with_speed(row, stored)

    def _with_speed(self, row: FormatPlan, stored: Stored) -> FormatPlan:
        """Add the speed where an engine that runs this format was ever measured."""
        engine = self._engine(stored)
        if engine is None:
            return _noted(row, self._no_engine(stored))
        row = replace(row, engine=engine.name)
        if engine.name == OWN_ENGINE:
            row = _noted(row, "fitcheck's own packing, for measuring: no engine loads it")
        if row.fits == "no":
            return row
        decoder = Decoder(self.model, stored.groups, self.machine, engine, self.request)
        decode = decoder.at(self.request.depth)
        prefiller = Prefiller(self.model, stored.groups, self.machine, engine, self.request)
        return replace(
            row,
            decode_tokens_per_s=decode.tokens_per_s,
            decode_bound=decode.bound,
            speed_basis=decode.basis,
            decode_curve=decoder.curve(self.context),
            prefill_tokens_per_s=prefiller.tokens_per_s(),
            ttft_s=prefiller.seconds(self.request.prompt or self.context),
        )

    def _engine(self, stored: Stored) -> Engine | None:
        """The first of the format's engines that was measured on the device, or the one asked for."""
        if self._refusal(stored):
            return None
        wanted = (self.request.engine,) if self.request.engine else stored.engines
        runs = [e for e in self.engines if e.name in wanted and self._supports(e)]
        return min(runs, key=lambda engine: wanted.index(engine.name), default=None)

    def _supports(self, engine: Engine) -> bool:
        """Whether the engine was measured on this kind of device, and is made for this GPU."""
        if engine.device != self.budget.device:
            return False
        gpu = self.machine.gpus[0].name.lower() if engine.device == "gpu" and self.machine.gpus else ""
        return not engine.vendors or any(vendor in gpu for vendor in engine.vendors)

    def _refusal(self, stored: Stored) -> str | None:
        """Why the format can't run here at all, whatever its size."""
        if self.request.engine and self.request.engine not in stored.engines:
            return f"{self.request.engine} does not run {stored.format}"
        if stored.arches and self.machine.arch and self.machine.arch not in stored.arches:
            return f"{stored.format} has kernels for {' and '.join(stored.arches)} only"
        return None

    def _no_engine(self, stored: Stored) -> str:
        device = "this GPU" if self.budget.device == "gpu" else "a CPU"
        return self._refusal(stored) or f"no measured speed of {stored.engines[0]} on {device}"


def _noted(row: FormatPlan, note: str) -> FormatPlan:
    return replace(row, notes=(*row.notes, note))


def context_for(model: Model, request: Request) -> int:
    """The context to plan for: 4096 unless asked. Raises BadInput beyond what the model knows."""
    longest = model.context_max or request.context or DEFAULT_CONTEXT
    if request.context is None:
        return min(DEFAULT_CONTEXT, longest)
    if request.context > longest:
        raise BadInput(
            f"{model.name} has a context of at most {longest} tokens, not {request.context}",
            f"ask for --context {longest} or less",
        )
    return request.context


def _fits(need: Footprint, budget: Budget) -> Fits:
    headroom = budget.usable_bytes - need.total_bytes
    if headroom < 0:
        return "no"
    return "tight" if headroom < TIGHT_SHARE * budget.memory_bytes else "yes"


def _best(model: Model, plans: Sequence[FormatPlan]) -> FormatPlan | None:
    """The format to take: what loses least, then what runs fastest.

    A model trained ternary loses nothing in a ternary packing, so the fastest
    one is best. For every other model more bits lose less, up to BEST_BITS; a
    comfortable fit comes before a tight one.
    """
    able = [p for p in plans if p.fits != "no" and _runs(p) and not p.needs_native_training]
    comfortable = [p for p in able if p.fits == "yes"] or able
    lossless = [p for p in comfortable if model.trained_ternary and _is_ternary(p)]
    if lossless:
        return max(lossless, key=_speed)
    sane = [p for p in comfortable if p.bits_per_weight <= BEST_BITS] or comfortable
    return max(sane, key=lambda p: (p.bits_per_weight, _speed(p)), default=None)


def _runs(row: FormatPlan) -> bool:
    """Whether people can run it: fitcheck's own packing is for measuring, no engine loads it."""
    return row.decode_tokens_per_s is not None and row.engine != OWN_ENGINE


def _is_ternary(row: FormatPlan) -> bool:
    return row.format in FORMATS and FORMATS[row.format].ternary


def _speed(row: FormatPlan) -> float:
    return row.decode_tokens_per_s.expected if row.decode_tokens_per_s else 0.0


def _summary(model: Model, asked: str | None) -> ModelSummary:
    return ModelSummary(
        name=model.name,
        source=model.source,
        architecture=model.architecture,
        parameters=parameters(model),
        active_parameters=active_parameters(model),
        layers=len(model.layers),
        hidden_size=model.hidden_size,
        vocab_size=model.vocab_size,
        context_max=model.context_max,
        trained_ternary=model.trained_ternary,
        resolved_from=asked if asked != model.name else None,
        note=model.note,
    )


def _machine_summary(machine: Machine, budget: Budget, engines: Sequence[Engine]) -> MachineSummary:
    on_gpu = budget.device == "gpu" and machine.gpus
    bandwidth = gpu_bandwidth(machine, machine.gpus[0]) if on_gpu else read_bandwidth(machine, None, "huge")
    return MachineSummary(
        name=machine.name,
        source=machine.source,
        ram_bytes=machine.ram_bytes,
        usable_bytes=budget.usable_bytes,
        reserve_bytes=budget.reserve_bytes,
        available_bytes=machine.available_bytes,
        bandwidth_bytes_per_s=bandwidth.bytes_per_s,
        bandwidth_basis=bandwidth.basis,
        threads=machine.threads,
        simd=machine.simd,
        gpus=machine.gpus,
        overrides=machine.overrides,
        notes=(*machine.notes, *budget.notes, *calibration_notes(engines, budget.device)),
    )


def find_engine(engines: Sequence[Engine], name: str) -> str:
    """The engine's own spelling of a name; raises UnknownName with those there are."""
    known = sorted({engine.name for engine in engines})
    for engine in known:
        if engine.lower() == name.lower():
            return engine
    raise UnknownName(f"no engine is called {name!r}", f"choose one of {', '.join(known)}")
