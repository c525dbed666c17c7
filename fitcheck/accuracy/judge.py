"""Each published run beside predictions that never saw its machine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fitcheck.accuracy.baselines import bandwidth_over_size, llmfit
from fitcheck.accuracy.case import Case, of_engine, without
from fitcheck.accuracy.fit import fit
from fitcheck.accuracy.spread import Residue, Spread, spread
from fitcheck.schema.accuracy import Judged
from fitcheck.schema.engine import Engine, Residual
from fitcheck.schema.machine import Basis, Machine
from fitcheck.speed.engines import residual


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the profile says of a case, and what it would say without the machine's runs."""

    case: Case
    engine: Engine
    basis: Basis
    in_sample: float  # tokens/s
    left_out: float  # tokens/s

    @property
    def residue(self) -> Residue:
        run = self.case.run
        return Residue(run.engine, run.device, self.basis, run.machine, run.tokens_per_s / self.left_out)


def judge(cases: Sequence[Case], engines: Sequence[Engine]) -> tuple[Judged, ...]:
    """Every case of the engines; each interval too is as wide as the other machines' residuals."""
    predictions = leave_one_out(cases, engines)
    residues = [prediction.residue for prediction in predictions]
    return tuple(_judged(prediction, residues) for prediction in predictions)


def leave_one_out(cases: Sequence[Case], engines: Sequence[Engine]) -> tuple[Prediction, ...]:
    """Predict each machine with what the others' runs make of the profile's fitted constants."""
    return tuple(p for engine in engines for p in _leave_one_out(of_engine(cases, engine), engine))


def _leave_one_out(cases: Sequence[Case], engine: Engine) -> Iterator[Prediction]:
    for machine in sorted({case.run.machine for case in cases}):
        refitted = fit(engine, without(cases, machine))
        for case in cases:
            if case.run.machine == machine:
                known = case.predict(engine)
                left_out = case.predict(refitted).tokens_per_s.expected
                yield Prediction(case, engine, known.basis, known.tokens_per_s.expected, left_out)


def _judged(prediction: Prediction, residues: Sequence[Residue]) -> Judged:
    case, expected = prediction.case, prediction.left_out
    width = _width(prediction, residues)
    return Judged(
        run=case.run,
        basis=prediction.basis,
        in_sample=prediction.in_sample,
        expected=expected,
        low=expected * width.low,
        high=expected * width.high,
        bandwidth_over_size=bandwidth_over_size(case),
        llmfit=llmfit(case),
    )


def _width(prediction: Prediction, residues: Sequence[Residue]) -> Spread | Residual:
    """As other machines' runs have it; the profile's own figures where no such run was asked for."""
    run, basis = prediction.case.run, prediction.basis
    others = [r for r in residues if r.machine != run.machine and r.device == run.device]
    return spread(others, run.engine, run.device, basis) if others else residual(prediction.engine, basis)


def ignorant(cases: Sequence[Case], engines: Sequence[Engine]) -> tuple[Residue, ...]:
    """Residuals on machines of which only cores and features are known, and cards of unknown bandwidth.

    They are what stands behind the basis ``assumed``.
    """
    return tuple(
        Residue(engine.name, engine.device, "assumed", case.run.machine, _stripped(case).ratio(engine))
        for engine in engines
        for case in of_engine(cases, engine)
    )


def _stripped(case: Case) -> Case:
    return replace(case, machine=_unknown(case.machine))


def _unknown(machine: Machine) -> Machine:
    """A machine as ``--threads`` and ``--simd`` alone describe one."""
    gpus = tuple(
        replace(gpu, bandwidth_bytes_per_s=None, achieved_bytes_per_s=None, lane_ops_per_s=None)
        for gpu in machine.gpus
    )
    return Machine(
        machine.name, machine.source, None, machine.arch, None, machine.cores, machine.threads,
        machine.simd, gpus=gpus,
    )  # fmt: skip
