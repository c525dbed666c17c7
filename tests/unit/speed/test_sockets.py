"""Two sockets: engines whose threads read across them reach some part of both memories."""

from dataclasses import replace

import pytest

from fitcheck.footprint.reads import read_groups
from fitcheck.planner import plan
from fitcheck.schema.machine import Machine, NumaNode, ReadBandwidth, System
from fitcheck.schema.request import Request
from fitcheck.sources.catalog import load_model
from fitcheck.sources.engines import load_engines
from fitcheck.sources.machines import load_machine
from fitcheck.sources.measurements import load_case, load_runs
from fitcheck.sources.overrides import Overrides, imagine
from fitcheck.speed.bandwidth import crosses_sockets
from fitcheck.speed.decode import Decode, Runner

ENGINES = load_engines()
CPU = {engine.name: engine for engine in ENGINES if engine.device == "cpu"}
MODEL = load_model("llama-3.1-70b")
GROUPS = read_groups(MODEL, "F16")
SERVER = load_machine("epyc-9175f-x2")
NODES = (NumaNode(0, 32, 384 << 30), NumaNode(1, 32, 384 << 30))
WORDS = "two sockets: threads read across them"


def decode(machine: Machine, engine: str = "llama.cpp") -> Decode:
    return Runner(MODEL, machine, CPU[engine], Request()).decoder(GROUPS).at(0)


def as_one(machine: Machine) -> Machine:
    return replace(machine, system=System(sockets=1))


@pytest.mark.parametrize(
    ("system", "numa", "crosses"),
    [
        (None, (), False),
        (System(sockets=1), NODES, False),  # one socket that calls itself two nodes
        (System(sockets=2), (), True),
        (System(sockets=2, hypervisor="none"), NODES[:1], True),  # interleaved by the firmware
        (System(sockets=2, hypervisor="KVM"), NODES[:1], False),  # sockets that a virtual machine made up
        (System(sockets=2, hypervisor="KVM"), NODES, True),
    ],
)
def test_sockets_count_where_each_has_memory(
    system: System | None, numa: tuple[NumaNode, ...], crosses: bool
) -> None:
    assert crosses_sockets(replace(SERVER, system=system, numa=numa)) is crosses


def test_llama_cpp_reaches_its_share_and_says_that_it_is_a_guess() -> None:
    known = CPU["llama.cpp"].sockets
    assert known
    assert known.source
    across, beside = decode(SERVER), decode(as_one(SERVER))
    assert across.basis == "assumed"
    rate = across.tokens_per_s
    assert rate.expected == pytest.approx(known.share * beside.tokens_per_s.expected, rel=0.05)
    assert rate.low == pytest.approx(known.low * rate.expected)
    assert rate.high == pytest.approx(min(rate.limit, known.high * rate.expected))


def test_our_own_threads_read_beside_their_socket() -> None:
    assert decode(SERVER, "fitcheck") == decode(as_one(SERVER), "fitcheck")


def test_what_threads_measured_beside_them_is_not_what_others_reach_across() -> None:
    rows = (ReadBandwidth(32, "4k", 500e9), ReadBandwidth(32, "huge", 550e9))
    measured = replace(SERVER, read_bandwidth=rows)
    assert decode(measured).basis == "assumed"
    assert decode(measured).tokens_per_s.expected < decode(as_one(measured)).tokens_per_s.expected


def test_a_bandwidth_that_was_typed_is_taken_as_it_is() -> None:
    typed = imagine(SERVER, Overrides(bandwidth_bytes_per_s=400e9))
    assert decode(typed) == decode(as_one(typed))


def test_a_persons_own_runs_make_the_interval() -> None:
    calibrated = replace(CPU["llama.cpp"], calibrated_by=3)
    found = Runner(MODEL, SERVER, calibrated, Request()).decoder(GROUPS).at(0)
    assert found.basis == "measured"
    assert found.tokens_per_s.low > decode(SERVER).tokens_per_s.low


def test_the_published_runs_lie_in_the_interval() -> None:
    """They set it: this holds the profile to them, and says nothing of other machines."""
    cases = [load_case(run) for run in load_runs() if run.machine.endswith("-x2")]
    assert len(cases) == 7
    for case in cases:
        rate = case.predict(CPU["llama.cpp"]).tokens_per_s
        assert rate.low <= case.run.tokens_per_s <= rate.high, case.run


@pytest.mark.parametrize(("engine", "said"), [(None, True), ("llama.cpp", True), ("fitcheck", False)])
def test_the_plan_says_it(engine: str | None, said: bool) -> None:
    answer = plan(MODEL, SERVER, Request(formats=("F16",), engine=engine), ENGINES)
    assert any(note.startswith(WORDS) for note in answer.machine.notes) is said
    alone = plan(MODEL, as_one(SERVER), Request(formats=("F16",), engine=engine), ENGINES)
    assert not any(note.startswith(WORDS) for note in alone.machine.notes)
