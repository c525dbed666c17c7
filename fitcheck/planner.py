"""The answer: a Model, a Machine and a Request in, a Plan out.

Pure: no clock, no files, no environment. Nothing else in fitcheck decides
whether a format fits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from fitcheck.budget import Budget
from fitcheck.choice import Candidates, Offers, best, in_order, offer, offers
from fitcheck.errors import BadInput, UnknownName
from fitcheck.footprint.stored import stored_as, stored_in
from fitcheck.footprint.tensors import active_parameters, layout, parameters
from fitcheck.host import Host
from fitcheck.judge import Judge
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Machine
from fitcheck.schema.model import Model
from fitcheck.schema.plan import Card, MachineSummary, ModelSummary, Plan
from fitcheck.schema.request import Request
from fitcheck.schema.weights import FileWeights
from fitcheck.speed.bandwidth import crosses_sockets, gpu_bandwidth, read_bandwidth
from fitcheck.speed.disk import disk_of
from fitcheck.speed.engines import calibration_notes, sockets_note
from fitcheck.speed.passes import pass_notes
from fitcheck.units import tokens
from fitcheck.verdict import verdict

DEFAULT_CONTEXT = 4096


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
    host = host_for(machine, request, engines)
    judge = judge_on(host, model, request.context)
    candidates = candidates_of(judge, file)
    found = best(candidates, model)
    judged = tuple(candidates)
    rows = tuple([one.row for one in judged])
    taken = rows[judged.index(found)] if found else None
    return Plan(
        summary(model, asked),
        machine_summary(host),
        judge.request,
        rows,
        taken.format if taken else None,
        verdict(model, host.budget, rows, taken),
    )


def host_for(machine: Machine, request: Request, engines: Sequence[Engine]) -> Host:
    """What all models share that are asked the same of one machine. Raises BadInput without memory."""
    return Host(machine, replace(request, slots=max(request.slots, request.batch)), engines)


def judge_on(host: Host, model: Model, context: int | None) -> Judge:
    """The judge of all formats, with so long a context. Raises BadInput where the model can't do as asked."""
    context = context_for(model, context)
    request = host.asked(context)
    check_room(request, context)
    _check_layers(model, request, host.budget)
    return Judge(model, host, request, context)


def candidates_of(judge: Judge, file: FileWeights | None = None) -> Candidates:
    """Every format that was asked for, or one file's weights. Raises UnknownName."""
    return Candidates(judge, _offers(judge, file))


def _offers(judge: Judge, file: FileWeights | None) -> Offers:
    model, named = judge.model, judge.request.formats
    if file is not None:
        return in_order([offer(model, stored_in(file))])
    if named:
        return in_order(offer(model, stored_as(model, name)) for name in named)
    return offers(model, apple=judge.host.machine.is_mac)


def context_for(model: Model, asked: int | None) -> int:
    """The context to plan for: 4096 unless asked. Raises BadInput beyond what the model knows."""
    longest = model.context_max or asked or DEFAULT_CONTEXT
    if asked is None:
        return min(DEFAULT_CONTEXT, longest)
    if asked > longest:
        raise BadInput(
            f"{model.name} has a context of at most {longest} tokens, not {asked}",
            f"ask for --context {longest} or less",
        )
    return asked


def check_room(request: Request, context: int) -> None:
    """Refuse what the context doesn't hold: a depth, a prompt, sequences that share it. Raises BadInput."""
    for what, count in (("depth", request.depth), ("prompt", request.prompt or 0)):
        if count > context:
            raise BadInput(
                f"a {what} of {tokens(count)} is more than the context of {tokens(context)}",
                f"ask for --context {count}, where the model knows so much",
            )
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


def summary(model: Model, asked: str | None = None) -> ModelSummary:
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


def machine_summary(host: Host) -> MachineSummary:
    machine, budget = host.machine, host.budget
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
            *_socket_notes(host),
            *calibration_notes(host.engines, budget.device),
            *pass_notes(host.request),
        ),
        cards=tuple(Card(card.name, card.memory_bytes, card.usable_bytes) for card in budget.cards),
        disk_bytes_per_s=disk.bytes_per_s,
        disk_basis=disk.basis,
    )


def _socket_notes(host: Host) -> Iterator[str]:
    """Of the first engine that reads across sockets, where there are two and it may be used."""
    wanted, machine = host.request.engine, host.machine
    for engine in host.engines:
        if engine.sockets and wanted in (None, engine.name) and crosses_sockets(machine):
            yield sockets_note(engine.sockets)
            return


def find_engine(engines: Sequence[Engine], name: str) -> str:
    """The engine's own spelling of a name; raises UnknownName with those there are."""
    known = sorted({engine.name for engine in engines})
    for engine in known:
        if engine.lower() == name.lower():
            return engine
    raise UnknownName(f"no engine is called {name!r}", f"choose one of {', '.join(known)}")
