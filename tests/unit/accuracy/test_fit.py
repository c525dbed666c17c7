"""Fits find what made the runs, forget a machine that is left out, and are what the profiles hold."""

from dataclasses import replace

import pytest

from fitcheck.accuracy.case import Case, without
from fitcheck.accuracy.constants import constants, figures
from fitcheck.accuracy.fit import fit
from fitcheck.schema.engine import Engine
from tests.unit.accuracy.conftest import cases_of, engine_of

FITTED = (("llama.cpp", "gpu"), ("llama.cpp", "cpu"), ("bitnet.cpp", "cpu"), ("exllamav2", "gpu"))


@pytest.mark.parametrize(("name", "device"), FITTED)
def test_the_profile_holds_what_all_runs_give(name: str, device: str) -> None:
    engine = engine_of(name, device)  # type: ignore[arg-type]
    assert figures(fit(engine, cases_of(engine))) == pytest.approx(figures(engine), rel=0.03)


def test_a_fit_finds_the_constants_that_made_the_runs() -> None:
    engine = engine_of("llama.cpp", "gpu")
    true = replace(engine, read_efficiency=0.6, overhead_s_per_layer=1e-4)
    cases = [made_by(true, case) for case in cases_of(engine)[::4]]
    found = fit(fit(engine, cases), cases)  # far from the truth at first, a round more is needed
    assert found.read_efficiency == pytest.approx(0.6, rel=0.03)
    assert found.overhead_s_per_layer == pytest.approx(1e-4, rel=0.1)


def test_a_machine_left_out_decides_nothing() -> None:
    engine = engine_of("bitnet.cpp", "cpu")
    cases = cases_of(engine)
    lying = [
        replace(case, run=replace(case.run, tokens_per_s=3 * case.run.tokens_per_s))
        if case.run.machine == "apple-m2-max"
        else case
        for case in cases
    ]
    assert fit(engine, without(lying, "apple-m2-max")) == fit(engine, without(cases, "apple-m2-max"))
    assert fit(engine, lying) != fit(engine, cases)


def test_a_figure_that_no_case_shows_is_dropped() -> None:
    """Without the M2 Max no run tells bitnet.cpp's rate on Arm: it is not kept from runs left out."""
    engine = engine_of("bitnet.cpp", "cpu")
    found = fit(engine, without(cases_of(engine), "apple-m2-max"))
    assert ("I2_S", "neon_dotprod") in {(rate.type, rate.isa) for rate in engine.rates}
    assert ("I2_S", "neon_dotprod") not in {(rate.type, rate.isa) for rate in found.rates}


def test_runs_timed_by_a_client_decide_nothing() -> None:
    engine = engine_of("llama.cpp", "gpu")
    cases = cases_of(engine)[::6]
    timed = [case for case in cases if not case.run.end_to_end]
    assert len(timed) < len(cases)
    assert fit(engine, cases) == fit(engine, timed)


@pytest.mark.parametrize(("name", "device"), FITTED)
def test_every_fitted_figure_has_a_name_of_its_own(name: str, device: str) -> None:
    engine = engine_of(name, device)  # type: ignore[arg-type]
    names = [constant.name for constant in constants(engine)]
    assert len(names) == len(set(names)) > 0
    assert set(names) <= set(figures(engine))


def test_a_figure_that_nothing_can_set_is_refused() -> None:
    engine = replace(engine_of("exllamav2", "gpu"), fitted=("pages",))
    with pytest.raises(ValueError, match="pages"):
        fit(engine, cases_of(engine))


def made_by(engine: Engine, case: Case) -> Case:
    speed = case.predict(engine).tokens_per_s.expected
    return replace(case, run=replace(case.run, tokens_per_s=speed))
