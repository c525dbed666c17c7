"""The ``residuals`` of engine profiles, as published runs give them."""

from collections.abc import Iterator, Mapping, Sequence

from fitcheck.accuracy.case import Case
from fitcheck.accuracy.judge import ignorant, leave_one_out
from fitcheck.accuracy.own import own_spread
from fitcheck.accuracy.spread import Residue, Spread, spread, spread_of
from fitcheck.schema.accuracy import OwnRun
from fitcheck.schema.engine import Engine, Residual
from fitcheck.schema.machine import Basis

_LEFT_OUT = "leaving one machine out of every fit"
_OF_THE_MINUTE = "runs that no figure was set from, with the bandwidth of the same minute"


def residuals(
    cases: Sequence[Case], engines: Sequence[Engine], own: Mapping[OwnRun, Case]
) -> dict[Engine, tuple[Residual, ...]]:
    """Each engine's residuals on the bases that runs tell of.

    Only our own runs tell of ``measured`` on a CPU: where an engine has none,
    it stays what the profile says.
    """
    known = [prediction.residue for prediction in leave_one_out(cases, engines)]
    blind = ignorant(cases, engines)
    return {
        engine: (*_measured(own, engine), *_residuals(engine, cases, known, blind))
        for engine in engines
        if engine.base is None  # another has the speeds of the one it is built on
    }


def _measured(own: Mapping[OwnRun, Case], engine: Engine) -> Iterator[Residual]:
    if width := own_spread(own, engine):
        source = f"profiles/measurements/own, {width.machines} models, {_OF_THE_MINUTE}"
        yield Residual("measured", round(width.low, 2), round(width.high, 2), width.runs, source)


def _residuals(
    engine: Engine,
    cases: Sequence[Case],
    known: Sequence[Residue],
    blind: Sequence[Residue],
) -> list[Residual]:
    bases: tuple[Basis, ...] = (
        ("profile", "spec") if engine.device == "cpu" else ("measured", "profile", "spec")
    )
    stranger = _stranger(engine)
    rows = []
    for basis in bases:
        width = (
            spread_of(_as_if(engine, cases), "all engines' runs of one card, and its own,")
            if stranger
            else spread(known, engine.name, engine.device, basis)
        )
        rows.append(_row(basis, width, _LEFT_OUT))
    of_device = [residue for residue in blind if residue.device == engine.device]
    width = spread_of(of_device, "all runs on such devices")
    return [*rows, _row("assumed", width, "predicted as if the memory's bandwidth were unknown")]


def _stranger(engine: Engine) -> bool:
    """Whether nothing ties the profile's figures to a run: nothing fitted on its device."""
    return engine.device == "gpu" and not engine.fitted


def _as_if(engine: Engine, cases: Sequence[Case]) -> list[Residue]:
    """Other engines' runs beside this one's figures: how far engines differ.

    Several cards they use each in their own way, which says nothing of this one's.
    """
    return [
        Residue(engine.name, engine.device, "assumed", case.run.machine, case.ratio(engine))
        for case in cases
        if case.run.device == engine.device and (case.run.cards == 1 or case.run.engine == engine.name)
    ]


def _row(basis: Basis, width: Spread, how: str) -> Residual:
    source = f"profiles/measurements, {width.of} on {width.machines} machines, {how}"
    return Residual(basis, round(width.low, 2), round(width.high, 2), width.runs, source)
