"""The answer: a Model, a Machine and a Request in, a Plan out.

Pure: no clock, no files, no environment. Nothing else in fitcheck decides
whether a format fits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from fitcheck.budget import Budget, budget_of
from fitcheck.errors import BadInput, UnknownName
from fitcheck.footprint.mixes import FORMATS, formats_on
from fitcheck.footprint.mlx import runs_on_mlx
from fitcheck.footprint.quality import loss
from fitcheck.footprint.stored import Stored, stored_as, stored_in
from fitcheck.footprint.tensors import active_parameters, layout, parameters
from fitcheck.judge import Judge
from fitcheck.schema.engine import OWN_ENGINE, Engine
from fitcheck.schema.machine import Machine
from fitcheck.schema.model import Experts, Model
from fitcheck.schema.plan import Card, FormatPlan, MachineSummary, ModelSummary, Plan
from fitcheck.schema.request import Request
from fitcheck.schema.weights import FileWeights
from fitcheck.speed.bandwidth import gpu_bandwidth, read_bandwidth
from fitcheck.speed.disk import disk_of
from fitcheck.speed.engines import calibration_notes
from fitcheck.speed.passes import pass_notes
from fitcheck.verdict import verdict

DEFAULT_CONTEXT = 4096

# Above 8.5 bits no perplexity gain was ever measured (Q8_0: +0.04 % on
# Llama-3-8B), so bits beyond it only cost speed.
BEST_BITS = 8.6

# Q4_K_M and what is larger loses about a percent of perplexity (Llama-3-8B +1.1 %
# in llama.cpp's quantize README); a layer in RAM costs most of a card's speed.
GOOD_BITS = 4.5


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
    request = replace(request, context=context, slots=max(request.slots, request.batch))
    _check_depth(request, context)
    budget = budget_of(machine, request)
    _check_layers(model, request, budget)
    judge = Judge(model, machine, request, context, budget, engines)
    plans = tuple(judge.plan(stored) for stored in _candidates(model, machine, request, file))
    best = _best(model, plans)
    return Plan(
        _summary(model, asked),
        _machine_summary(machine, budget, engines, request),
        request,
        plans,
        best.format if best else None,
        verdict(model, budget, plans, best),
    )


def _candidates(
    model: Model, machine: Machine, request: Request, file: FileWeights | None
) -> Iterator[Stored]:
    if file is not None:
        yield stored_in(file)
        return
    for name in request.formats or _formats_for(model, machine):
        yield stored_as(model, name)


def _formats_for(model: Model, machine: Machine) -> Iterator[str]:
    """All formats of such a machine; a mix for experts is, without experts, another by a second name."""
    experts = any(isinstance(ffn, Experts) for layer in model.layers for ffn in layer.ffns)
    listed = formats_on(apple=machine.is_mac and runs_on_mlx(model))
    return (name for name in listed if experts or FORMATS[name].stacks is None)


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


def _check_depth(request: Request, context: int) -> None:
    """Sequences together can't hold more tokens than the context that they share."""
    if request.batch > 1 and request.batch * request.depth > context:
        raise BadInput(
            f"{request.batch} sequences of {request.depth} tokens need more than a context of {context}",
            f"ask for --context {request.batch * request.depth}",
        )


def _check_layers(model: Model, request: Request, budget: Budget) -> None:
    """Refuse layers that the model hasn't, and cards that the machine hasn't."""
    layers, asked = layout(model).facts.layers_in_file + 1, request.gpu_layers
    if not budget.cards and not budget.unified and (asked or request.cpu_moe_layers):
        raise BadInput("there is no GPU to put layers on", "name one with --gpu or --vram")
    if asked is not None and asked > layers:
        raise BadInput(
            f"{model.name} has {layers} layers to place, the output counted, not {asked}",
            f"say --gpu-layers {layers} or less",
        )
    if budget.unified and (asked not in (None, 0, layers) or request.cpu_moe_layers):
        raise BadInput("a split gains nothing where GPU and RAM are one", f"say --gpu-layers 0 or {layers}")
    moe, most = request.cpu_moe_layers, layers - 1
    if moe is not None and moe > most:
        raise BadInput(f"{model.name} has {most} layers, not {moe}", f"say --n-cpu-moe {most} or less")


def _best(model: Model, plans: Sequence[FormatPlan]) -> FormatPlan | None:
    """The format to take: what loses least, then what runs fastest.

    A model trained ternary loses nothing in a ternary packing, so the fastest
    one is best. For every other model the least loss of perplexity decides, up
    to BEST_BITS; a comfortable fit comes before a tight one, and all layers on
    GPUs before some in RAM where that leaves GOOD_BITS or more.
    """
    able = [p for p in plans if p.fits != "no" and _runs(p) and not p.needs_native_training]
    comfortable = [p for p in able if p.fits == "yes"] or able
    lossless = [p for p in comfortable if model.trained_ternary and _is_ternary(p)]
    if lossless:
        return max(lossless, key=_speed)
    on_gpus = [p for p in comfortable if _all_on_gpus(p) and GOOD_BITS <= p.bits_per_weight <= BEST_BITS]
    return most_faithful(model, on_gpus or comfortable)


def most_faithful(model: Model, plans: Sequence[FormatPlan]) -> FormatPlan | None:
    """The row that loses least, the fastest of equals; above BEST_BITS only where nothing else is there."""
    sane = [p for p in plans if p.bits_per_weight <= BEST_BITS] or plans
    return min(sane, key=lambda p: (loss(p.format, p.bits_per_weight, model), -_speed(p)), default=None)


def _runs(row: FormatPlan) -> bool:
    """Whether people can run it: fitcheck's own packing is for measuring, no engine loads it."""
    return row.decode_tokens_per_s is not None and row.engine != OWN_ENGINE


def _all_on_gpus(row: FormatPlan) -> bool:
    place = row.placement
    return place is not None and place.gpu_layers == place.layers_total and not place.cpu_moe_layers


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


def _machine_summary(
    machine: Machine, budget: Budget, engines: Sequence[Engine], request: Request
) -> MachineSummary:
    on_gpu = budget.device == "gpu" and machine.gpus
    bandwidth = gpu_bandwidth(machine, machine.gpus[0]) if on_gpu else read_bandwidth(machine, None, "huge")
    disk = disk_of(machine.storage)
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
        notes=(
            *machine.notes,
            *(note for _, note in machine.assumed),
            *budget.notes,
            *calibration_notes(engines, budget.device),
            *pass_notes(request),
        ),
        cards=tuple(Card(card.name, card.memory_bytes, card.usable_bytes) for card in budget.cards),
        disk_bytes_per_s=disk.bytes_per_s,
        disk_basis=disk.basis,
    )


def find_engine(engines: Sequence[Engine], name: str) -> str:
    """The engine's own spelling of a name; raises UnknownName with those there are."""
    known = sorted({engine.name for engine in engines})
    for engine in known:
        if engine.lower() == name.lower():
            return engine
    raise UnknownName(f"no engine is called {name!r}", f"choose one of {', '.join(known)}")
