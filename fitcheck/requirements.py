"""The inverse question: what must a machine have for this model at this speed?

Pure, like the planner. A requirement turns the speed model round; candidates
are found by planning for each machine, so both agree with every other answer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from fitcheck.budget import least_memory
from fitcheck.choice import fitting, most_faithful
from fitcheck.errors import BadInput
from fitcheck.footprint.kv_cache import kv_read_bytes
from fitcheck.footprint.memory import footprint
from fitcheck.footprint.stored import Stored, stored_as, stored_in, stored_in_each
from fitcheck.planner import candidates_of, check_room, context_for, host_for, judge_on
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Machine
from fitcheck.schema.model import Model
from fitcheck.schema.request import Request
from fitcheck.schema.requirement import Candidate, Needs, Requirement
from fitcheck.schema.weights import FileWeights


def needs(
    model: Model,
    request: Request,
    tokens_per_s: float,
    engines: Sequence[Engine],
    machines: Iterable[Machine] = (),
    *,
    file: FileWeights | None = None,
) -> Needs:
    """Requirements of each format that a CPU engine runs, and machines that meet one.

    ``machines`` are judged by the best format they run at the wished speed; of a
    real file's weights there is one.
    Raises BadInput for a speed that is none, and for a context that doesn't hold what is asked.
    """
    if not tokens_per_s > 0:
        raise BadInput("a speed must be more than nothing", "for example --speed 5")
    context = context_for(model, request.context)
    check_room(request, context)
    request = replace(request, context=context)
    by_name = {engine.name: engine for engine in engines if engine.device == "cpu"}
    formats = _formats(model, request, file)
    runnable = [(stored, by_name[stored.engines[0]]) for stored in formats if stored.engines[0] in by_name]
    return Needs(
        model.name,
        request.context or 0,
        request.depth,
        tokens_per_s,
        tuple(_requirement(model, request, tokens_per_s, stored, engine) for stored, engine in runnable),
        tuple(_candidates(model, request, tokens_per_s, engines, machines, file=file)),
    )


def _formats(model: Model, request: Request, file: FileWeights | None) -> tuple[Stored, ...]:
    if file is not None:
        return (stored_in(file),)
    return tuple(stored_as(model, name) for name in request.formats) or stored_in_each(model)


def _requirement(model: Model, request: Request, wish: float, stored: Stored, engine: Engine) -> Requirement:
    need = footprint(model, stored.weights_bytes, request)
    return Requirement(
        stored.format,
        engine.name,
        need.total_bytes,
        least_memory(need.total_bytes, request),
        _bandwidth(model, request, wish, sum(group.bytes for group in stored.groups), engine),
        wish * sum(group.weights for group in stored.groups),
        stored.ternary and not model.trained_ternary,
    )


def _bandwidth(
    model: Model, request: Request, wish: float, weights_bytes: int, engine: Engine
) -> float | None:
    """Read bandwidth at which memory alone allows the wish; cores must keep up."""
    left_s = 1 / wish - engine.overhead_s_per_layer * len(model.layers)
    if left_s <= 0:
        return None
    cache_bytes = kv_read_bytes(model, request.depth, request.kv_type)
    return (weights_bytes / engine.read_efficiency + cache_bytes) / left_s


def _candidates(
    model: Model,
    request: Request,
    wish: float,
    engines: Sequence[Engine],
    machines: Iterable[Machine],
    *,
    file: FileWeights | None,
) -> Iterable[Candidate]:
    for machine in machines:
        try:
            judge = judge_on(host_for(machine, request, engines), model, request.context)
        except BadInput:  # a machine sold without memory: nothing to judge
            continue
        able = candidates_of(judge, file).able()
        best = most_faithful(able, lambda one: fitting(one) and one.tokens_per_s >= wish)
        if best is not None:
            yield Candidate(machine.name, best.row)
