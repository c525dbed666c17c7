"""verify over a small real shape: what it says beside the figures."""

from dataclasses import replace

import pytest

from fitcheck import verify as verification
from fitcheck.bench import kernels, native
from fitcheck.bench.energy import Meter, NoMeter
from fitcheck.schema.machine import Machine
from fitcheck.schema.measurement import Verification
from fitcheck.schema.request import Request
from fitcheck.sources.engines import load_engines
from fitcheck.sources.resolve import resolve
from fitcheck.units import GIB, MIB

MACHINE = Machine("test", "test", ram_bytes=4 * GIB, available_bytes=4 * GIB, threads=2)


class Counter(Meter):
    """A hundred joules, whatever happens."""

    source = "made up"

    def __init__(self) -> None:
        self.begun = 0

    def start(self) -> None:
        self.begun += 1

    def stop(self) -> float:
        return 100.0


def run(machine: Machine = MACHINE) -> Verification:
    model = resolve("smollm2-135m").model
    return verification.verify(model, "trit5", machine, load_engines(), Request(context=256), budget_s=0.1)


def test_a_run_keeps_its_surroundings_and_says_whether_it_was_stable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "find_meter", lambda: NoMeter("nothing counts here"))
    result = run()
    assert result.layers_run == result.layers_total
    assert len(result.raw) == len(result.raw_read) >= 5
    assert result.stable is (result.unstable_why is None)
    assert (result.energy_joules_per_token, result.energy_source) == (None, "nothing counts here")
    assert result.environment["compiler"] == native.compiler()
    assert result.environment["isa_forced"] == "no"
    assert result.environment["pages"] == "huge"


def test_a_forced_isa_is_in_the_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(native.ISA_VARIABLE, "scalar")
    monkeypatch.setattr(kernels, "CACHED_PASSES", 2)  # scalar takes a hundred times as long
    monkeypatch.setattr(verification, "find_meter", lambda: NoMeter(""))
    result = run()
    assert result.isa == "scalar"
    assert result.environment["isa_forced"] == "scalar"


def test_joules_are_shared_by_the_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter()
    monkeypatch.setattr(verification, "find_meter", lambda: counter)
    monkeypatch.setattr("fitcheck.bench.decode.METERED_S", 0.0)  # one step
    result = run()
    assert counter.begun == 1
    assert (result.energy_joules_per_token, result.energy_source) == (100.0, "made up")


def test_joules_of_some_of_the_layers_are_not_a_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "find_meter", Counter)
    monkeypatch.setattr("fitcheck.bench.decode.METERED_S", 0.0)
    result = run(replace(MACHINE, available_bytes=verification.MARGIN_BYTES + 30 * MIB))
    assert 0 < result.layers_run < result.layers_total
    assert result.energy_joules_per_token is None
    assert "not all layers" in result.energy_source
