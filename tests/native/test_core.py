"""The core's clock: the kernel it takes, and that it is checked first."""

from dataclasses import replace

import pytest

from fitcheck.bench import core, native
from fitcheck.bench.core import clock_of
from fitcheck.errors import FitcheckError
from fitcheck.schema.engine import TypeRate


def here(name: str, isa: str | None = None) -> TypeRate:
    return TypeRate(name, isa or native.kernel_isa(name), 1e9)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "READING_S", 0.0)
    monkeypatch.setattr(core, "CACHED_PASSES", 1)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_first_kernel_that_runs_here_is_the_yardstick(threads: int) -> None:
    rows = (here("I2_S", "another"), here("I2_S"), here("TQ2_0"))
    with clock_of(rows, threads) as clock:
        assert clock is not None
        assert (clock.yardstick, clock.threads) == (rows[1], threads)
        assert clock.reading() > 0


def test_a_machine_with_other_kernels_has_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(native.ISA_VARIABLE, "scalar")
    with clock_of((replace(here("I2_S"), isa="avx512vnni"),), 1) as clock:
        assert clock is None
    with clock_of((), 1) as clock:
        assert clock is None


def test_a_kernel_that_is_wrong_is_never_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native.Matrix, "mismatches", lambda self, rows: 1)
    monkeypatch.setattr(native.Matrix, "time", lambda self, *how: pytest.fail("it was timed"))
    with pytest.raises(FitcheckError, match="differs from scalar"), clock_of((here("I2_S"),), 1):
        pass
