"""The judged runs as scores, misses and reasons."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import median

from fitcheck.accuracy.case import Case
from fitcheck.accuracy.classes import device_class, format_class
from fitcheck.accuracy.judge import judge
from fitcheck.accuracy.spread import weighted_quantile
from fitcheck.schema.accuracy import AccuracyReport, Judged, LeftOut, PublishedRun, Score
from fitcheck.schema.engine import Engine

_MISSES = 12
_EXAMPLES = 3


def report(runs: Sequence[PublishedRun], cases: Sequence[Case], engines: Sequence[Engine]) -> AccuracyReport:
    """Scores of all usable runs of the engines. Raises ValueError where there is none."""
    judged = judge(cases, engines)
    if not judged:
        raise ValueError("no usable run of these engines")
    return AccuracyReport(
        published_runs=len(runs),
        judged_runs=len(judged),
        scores=tuple(_scores(judged, {case.run: case for case in cases})),
        misses=_worst(judged),
        left_out=tuple(_left_out(runs)),
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


def score(kind: str, name: str, judged: Sequence[Judged]) -> Score:
    errors = sorted(error(j.expected, j) for j in judged)
    return Score(
        kind=kind,
        name=name,
        runs=len(judged),
        machines=len({j.run.machine for j in judged}),
        median_in_sample=median(error(j.in_sample, j) for j in judged),
        median=median(errors),
        p90=weighted_quantile([(e, 1.0) for e in errors], 0.9),
        coverage=sum(j.low <= j.run.tokens_per_s <= j.high for j in judged) / len(judged),
        median_bandwidth_over_size=median(error(j.bandwidth_over_size, j) for j in judged),
        median_llmfit=median(error(j.llmfit, j) for j in judged),
    )


def error(expected: float, judged: Judged) -> float:
    """How far an expected speed is from the measured one, as a share of it."""
    return abs(expected / judged.run.tokens_per_s - 1)


def _worst(judged: Iterable[Judged]) -> tuple[Judged, ...]:
    """The worst runs, one of a machine and engine."""
    worst: dict[tuple[str, str], Judged] = {}
    for one in sorted(judged, key=lambda j: -error(j.expected, j)):
        worst.setdefault((one.run.machine, one.run.engine), one)
    return tuple(worst.values())[:_MISSES]


def _left_out(runs: Iterable[PublishedRun]) -> Iterator[LeftOut]:
    groups: dict[str, list[PublishedRun]] = defaultdict(list)
    for run in runs:
        if run.excluded:
            groups[run.excluded].append(run)
    for reason, group in sorted(groups.items(), key=lambda item: -len(item[1])):
        names = dict.fromkeys(f"{run.published_model} on {run.hardware}" for run in group)
        yield LeftOut(reason, len(group), tuple(names)[:_EXAMPLES])
