"""Our own runs beside the model, with the memory's bandwidth measured in the same minute."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from fitcheck.accuracy.baselines import bandwidth_over_size, llmfit
from fitcheck.accuracy.case import Case
from fitcheck.accuracy.score import score
from fitcheck.accuracy.spread import Residue, Spread, spread_of
from fitcheck.schema.accuracy import Judged, OwnRun, PublishedRun, Score
from fitcheck.schema.engine import Engine

KIND = "own"


def own_scores(cases: Mapping[OwnRun, Case], engines: Sequence[Engine]) -> Iterator[Score]:
    """Runs from which no figure was set, by what may tell them apart, and those from which one was.

    Each interval is as wide as the runs of the other models make it.
    """
    judged = [one for engine in engines for one in _of_engine(_alone(cases), engine)]
    seen = {own.run.model for own in cases if own.fitted}
    for name, belongs in _CLASSES.items():
        if group := [one for own, one in judged if not own.fitted and belongs(own)]:
            yield score(KIND, name, group)
    if group := [one for own, one in judged if not own.fitted and own.run.model not in seen]:
        yield score(KIND, "of models no figure was set from", group)
    yield from _together(cases, engines)
    if group := [one for own, one in judged if own.fitted]:
        yield score(KIND, "a figure was set from them", group)


def _together(cases: Mapping[OwnRun, Case], engines: Sequence[Engine]) -> Iterator[Score]:
    """Passes of several tokens, each kind by itself; none where one model alone was run so."""
    for name, belongs in _OF_SEVERAL.items():
        several = {own: case for own, case in cases.items() if belongs(own.run)}
        if len({own.run.model for own in several}) < 2:
            continue
        judged = [one for engine in engines for one in _of_engine(several, engine)]
        if group := [one for own, one in judged if not own.fitted]:
            yield score(KIND, name, group)
        if group := [one for own, one in judged if own.fitted]:
            yield score(KIND, f"{name}: a figure was set from them", group)


_OF_SEVERAL: dict[str, Callable[[PublishedRun], bool]] = {
    "2 to 16 sequences together": lambda run: run.batch > 1,
    "guessed ahead by a draft": lambda run: run.speculate > 0,
}


def _alone(cases: Mapping[OwnRun, Case]) -> dict[OwnRun, Case]:
    """Runs of one token a pass."""
    several = _OF_SEVERAL.values()
    return {own: case for own, case in cases.items() if not any(kind(own.run) for kind in several)}


_CLASSES: dict[str, Callable[[OwnRun], bool]] = {
    "no figure was set from them": lambda own: True,
    "reads agree, nobody else ran": lambda own: own.steady,
    "the core was timed with them": lambda own: bool(own.kernel_rates),
    "at an empty cache": lambda own: own.run.depth == 0,
    "2048 and 8192 tokens deep": lambda own: own.run.depth > 0,
    "with flash attention": lambda own: own.run.flash_attention == "on",
    "without flash attention": lambda own: own.run.flash_attention == "off",
    "one thread": lambda own: own.run.threads == 1,
    "two threads": lambda own: own.run.threads == 2,
}


def _of_engine(cases: Mapping[OwnRun, Case], engine: Engine) -> Iterator[tuple[OwnRun, Judged]]:
    ratios = _ratios(cases, engine)
    widths = {model: _without(ratios, model) for model in {own.run.model for own in ratios}}
    for own, ratio in ratios.items():
        yield own, _judged(cases[own], ratio, widths[own.run.model])


def own_spread(cases: Mapping[OwnRun, Case], engine: Engine) -> Spread | None:
    """How runs from which nothing was set lie about the model; each model counts as a machine of its own.

    None where the engine has no such run.
    """
    ratios = _ratios(_alone(cases), engine)
    return _spread(ratios) if ratios else None


def _ratios(cases: Mapping[OwnRun, Case], engine: Engine) -> dict[OwnRun, float]:
    named = (engine.name, engine.device)
    return {
        own: case.ratio(engine) for own, case in cases.items() if (own.run.engine, own.run.device) == named
    }


def _without(ratios: Mapping[OwnRun, float], model: str) -> Spread:
    return _spread({own: ratio for own, ratio in ratios.items() if own.run.model != model})


def _spread(ratios: Mapping[OwnRun, float]) -> Spread:
    residues = [
        Residue(own.run.engine, "cpu", "measured", own.run.model, ratio)
        for own, ratio in ratios.items()
        if not own.fitted
    ]
    return spread_of(residues, "our own runs")


def _judged(case: Case, ratio: float, width: Spread) -> Judged:
    expected = case.run.tokens_per_s / ratio
    return Judged(
        run=case.run,
        basis="measured",
        in_sample=expected,
        expected=expected,
        low=expected * width.low,
        high=expected * width.high,
        bandwidth_over_size=bandwidth_over_size(case),
        llmfit=llmfit(case),
    )
