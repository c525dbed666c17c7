"""The usable published runs, read once."""

from functools import cache

from fitcheck.accuracy.case import Case, of_engine
from fitcheck.schema.accuracy import OwnRun
from fitcheck.schema.engine import Device, Engine
from fitcheck.sources.engines import load_engines
from fitcheck.sources.measurements import load_case, load_runs
from fitcheck.sources.own_runs import load_own_runs, own_case


@cache
def all_cases() -> tuple[Case, ...]:
    return tuple(load_case(run) for run in load_runs() if not run.excluded)


@cache
def own_cases() -> dict[OwnRun, Case]:
    return {run: own_case(run) for run in load_own_runs()}


@cache
def engine_of(name: str, device: Device) -> Engine:
    return next(e for e in load_engines() if (e.name, e.device) == (name, device))


def cases_of(engine: Engine) -> list[Case]:
    return of_engine(all_cases(), engine)
