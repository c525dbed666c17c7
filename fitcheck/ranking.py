"""What can run here? Every model on one machine, best first.

Pure, like the planner it asks: the command line and the TUI show the same
models in the same order because both ask here.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from fitcheck.choice import best, nearest
from fitcheck.errors import FitcheckError, UnknownName
from fitcheck.host import Host
from fitcheck.planner import (
    DEFAULT_CONTEXT,
    candidates_of,
    host_for,
    judge_on,
    machine_summary,
    summary,
)
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Machine
from fitcheck.schema.model import Model
from fitcheck.schema.ranking import RankedModel, Ranking, UnplannedModel
from fitcheck.schema.request import Request

# Below it a model loses more than it gains by its size: Llama-3-8B's perplexity
# rises by 3 % as Q4_K_M, by 11 % as Q3_K_M (4.0 bits) and by 39 % as Q2_K
# (llama.cpp, examples/perplexity/README.md).
SOUND_BITS = 4.0


def sound(one: RankedModel) -> bool:
    """Whether the format keeps what the model is worth: enough bits, or few by training."""
    return one.plan.bits_per_weight >= SOUND_BITS or one.model.trained_ternary


def speed(one: RankedModel) -> float:
    """Tokens/s expected; 0 where it is unknown."""
    rate = one.plan.decode_tokens_per_s
    return rate.expected if rate else 0.0


class Sort(NamedTuple):
    """A way to order ranked models; what doesn't fit comes last in each of them."""

    key: Callable[[RankedModel], Any]
    descending: bool
    words: str


SORTS = {
    "best": Sort(
        lambda one: (sound(one), one.model.parameters),
        True,
        f"the largest first, those below {SOUND_BITS:.0f} bits a weight last",
    ),
    "size": Sort(lambda one: one.model.parameters, True, "the most parameters first"),
    "speed": Sort(speed, True, "the fastest first"),
    "longest": Sort(lambda one: one.plan.max_context, True, "the longest context first"),
    "gib": Sort(lambda one: one.plan.total_bytes, False, "the least memory first"),
    "name": Sort(lambda one: one.model.name, False, "by name"),
}


@dataclass(frozen=True, slots=True)
class Taste:
    """Which of the models to show, and in which order."""

    sort: str = "best"
    least_tokens_per_s: float = 0.0
    everything: bool = False  # also what does not fit, or is slower


class Chosen(NamedTuple):
    """Models in order, and how many were left out for what."""

    models: tuple[RankedModel, ...]
    not_fitting: int
    too_slow: int


class Refused(NamedTuple):
    """A model that the question can't be asked of."""

    name: str
    error: FitcheckError


def rank(
    models: Iterable[Model], machine: Machine, request: Request, engines: Sequence[Engine], taste: Taste
) -> Ranking:
    """Plan every model for the machine. Raises the planner's error where none can be planned at all."""
    host = host_for(machine, request, engines)
    answers = list(take_each(models, host))
    ranked = [answer for answer in answers if isinstance(answer, RankedModel)]
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    if not ranked:
        raise (refused[0].error if refused else UnknownName("no model to rank", "see: fitcheck models"))
    chosen = choose(ranked, taste)
    return Ranking(
        machine_summary(host),
        replace(request, context=request.context or DEFAULT_CONTEXT),
        taste.sort,
        SORTS[taste.sort].words,
        chosen.models,
        len(ranked) - chosen.not_fitting,
        chosen.not_fitting,
        chosen.too_slow,
        tuple(UnplannedModel(one.name, one.error.message) for one in refused),
    )


def take_each(models: Iterable[Model], host: Host) -> Iterator[RankedModel | Refused]:
    """Of each model the format to take, as its plan would say, without the rows of all others."""
    for model in filter(_trained, models):
        try:
            yield take(model, host)
        except FitcheckError as error:
            yield Refused(model.name, error)


def take_on(
    models: Iterable[Model], machine: Machine, request: Request, engines: Sequence[Engine]
) -> Iterator[RankedModel | Refused]:
    """``take_each`` on a machine; all are refused where it can't be asked anything."""
    try:
        host = host_for(machine, request, engines)
    except FitcheckError as error:
        yield from (Refused(model.name, error) for model in filter(_trained, models))
        return
    yield from take_each(models, host)


def take(model: Model, host: Host) -> RankedModel:
    """The format of a model to take, or what comes nearest to running. Raises what the planner does."""
    judge = judge_on(host, model, _within(model, host.request.context))
    candidates = candidates_of(judge)
    found = best(candidates, model) or nearest(candidates)
    return RankedModel(summary(model), found.row)


def choose(ranked: Iterable[RankedModel], taste: Taste) -> Chosen:
    """What the taste asks for, in its order."""
    found = list(ranked)
    fitting = [one for one in found if one.fits]
    quick = [one for one in fitting if speed(one) >= taste.least_tokens_per_s]
    shown = found if taste.everything else quick
    return Chosen(ordered(shown, taste.sort), len(found) - len(fitting), len(fitting) - len(quick))


def ordered(ranked: Iterable[RankedModel], sort: str) -> tuple[RankedModel, ...]:
    """Sorted as named, equals by name; what fits before what doesn't."""
    way = SORTS[sort]
    by_name = sorted(ranked, key=lambda one: one.model.name)
    return tuple(
        sorted(
            sorted(by_name, key=way.key, reverse=way.descending),
            key=lambda one: not one.fits,
        )
    )


def _trained(model: Model) -> bool:
    return model.trained


def _within(model: Model, context: int | None) -> int | None:
    """No more context than the model knows: a list should not end at its shortest."""
    return min(context, model.context_max) if context and model.context_max else context
