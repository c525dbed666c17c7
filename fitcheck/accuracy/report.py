"""The judged runs as scores, misses and reasons."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from fitcheck.accuracy.case import Case
from fitcheck.accuracy.classes import device_class, format_class
from fitcheck.accuracy.judge import judge
from fitcheck.accuracy.own import own_scores
from fitcheck.accuracy.prompts import PromptCase, prompt_scores
from fitcheck.accuracy.score import error, score
from fitcheck.schema.accuracy import (
    AccuracyReport,
    Judged,
    LeftOut,
    OwnRun,
    PublishedPrompt,
    PublishedRun,
    Score,
)
from fitcheck.schema.engine import Engine

_MISSES = 12
_EXAMPLES = 3


def report(
    runs: Sequence[PublishedRun],
    cases: Sequence[Case],
    engines: Sequence[Engine],
    own: Mapping[OwnRun, Case],
    prompts: Mapping[PublishedPrompt, PromptCase | None] = MappingProxyType({}),
) -> AccuracyReport:
    """Scores of all usable runs of the engines, of ours, and of prompts; unusable ones have no case.

    Raises ValueError where no run was published.
    """
    judged = judge(cases, engines)
    if not judged:
        raise ValueError("no usable run of these engines")
    return AccuracyReport(
        published_runs=len(runs),
        judged_runs=len(judged),
        scores=(*_scores(judged, {case.run: case for case in cases}), *own_scores(own, engines)),
        misses=_worst(judged),
        left_out=tuple(_left_out(runs)),
        prompts=tuple(prompt_scores([case for case in prompts.values() if case], engines)),
        prompts_left_out=tuple(_left_out(prompts)),
    )


def _scores(judged: Sequence[Judged], cases: dict[PublishedRun, Case]) -> Iterator[Score]:
    kinds: dict[str, Callable[[Judged], str]] = {
        "all": lambda j: "on a GPU" if j.run.device == "gpu" else "on a CPU",
        "engine": lambda j: f"{j.run.engine}, {j.run.device.upper()}",
        "device": lambda j: device_class(cases[j.run]),
        "format": lambda j: f"{format_class(cases[j.run])}, {j.run.device.upper()}",
        "basis": lambda j: f"{j.basis}, {j.run.device.upper()}",
        "timing": lambda j: "by a client, end to end" if j.run.end_to_end else "by the engine",
        "source": lambda j: j.run.collection,
    }
    for kind, name_of in kinds.items():
        groups: dict[str, list[Judged]] = defaultdict(list)
        for one in judged:
            groups[name_of(one)].append(one)
        for name, group in sorted(groups.items()):
            yield score(kind, name, group)


def _worst(judged: Iterable[Judged]) -> tuple[Judged, ...]:
    """The worst runs, one of a machine and engine."""
    worst: dict[tuple[str, str], Judged] = {}
    for one in sorted(judged, key=lambda j: -error(j.expected, j)):
        worst.setdefault((one.run.machine, one.run.engine), one)
    return tuple(worst.values())[:_MISSES]


def _left_out(runs: Iterable[PublishedRun | PublishedPrompt]) -> Iterator[LeftOut]:
    groups: dict[str, list[PublishedRun | PublishedPrompt]] = defaultdict(list)
    for run in runs:
        if run.excluded:
            groups[run.excluded].append(run)
    for reason, group in sorted(groups.items(), key=lambda item: -len(item[1])):
        names = dict.fromkeys(f"{run.published_model} on {run.hardware}" for run in group)
        yield LeftOut(reason, len(group), tuple(names)[:_EXAMPLES])
