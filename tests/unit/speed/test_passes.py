"""Several tokens in one pass: figures by hand."""

from dataclasses import replace

import pytest

from fitcheck.budget import budget_of
from fitcheck.errors import BadInput
from fitcheck.footprint.reads import read_groups
from fitcheck.footprint.stored import stored_as
from fitcheck.planner import plan
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Gpu, Machine
from fitcheck.schema.plan import Plan
from fitcheck.schema.request import Request
from fitcheck.sources.catalog import load_model
from fitcheck.sources.engines import load_engines
from fitcheck.speed.decode import Cost, Runner
from fitcheck.speed.passes import Pass, at_most, experts_met, pass_notes
from fitcheck.units import GIB

ENGINES = load_engines()
LLAMA = next(e for e in ENGINES if (e.name, e.device) == ("llama.cpp", "cpu"))
DESKTOP = Machine(
    "a desktop", "test", 64 * GIB, arch="x86_64", cores=8, threads=16, simd=("avx2",),
    peak_bandwidth_bytes_per_s=89.6e9,
)  # fmt: skip
CARD = Gpu("NVIDIA GeForce RTX 3090", 24 * GIB, 936e9)


def ask(machine: Machine = DESKTOP, **request: object) -> Plan:
    asked = Request(formats=("Q4_K_M",), **request)  # type: ignore[arg-type]
    return plan(load_model("llama-3.1-8b"), machine, asked, ENGINES)


def test_a_pass_gains_what_the_geometric_series_says() -> None:
    """Four guesses at 0.7: 1 + 0.7 + 0.49 + 0.343 + 0.2401."""
    assert Pass(1, 4, 0.7).gained == pytest.approx(2.7731)
    assert Pass(3, 4, 0.7).gained == pytest.approx(3 * 2.7731)
    assert (Pass(1, 4, 1.0).gained, Pass(1, 4, 0.0).gained, Pass(8).gained) == (5, 1, 8)
    assert Pass(3, 4).tokens == 15


def test_more_tokens_meet_more_experts_but_not_all() -> None:
    """128 experts, 8 a token: two tokens meet 128 x (1 - (120/128)^2) = 15.5, 64 meet 125.9."""
    model = load_model("qwen3-30b-a3b")
    assert experts_met(model, 1) == pytest.approx(1)
    assert experts_met(model, 2) == pytest.approx(15.5 / 8)
    assert experts_met(model, 64) == pytest.approx(125.9 / 8, rel=1e-3)
    assert experts_met(load_model("llama-3.1-8b"), 64) == 1


def test_the_experts_of_a_group_are_those_of_the_format() -> None:
    model = load_model("qwen3-30b-a3b")
    experts = sum(group.expert_bytes for group in read_groups(model, "Q4_K_M"))
    assert experts == stored_as(model, "Q4_K_M").expert_bytes_read
    assert not any(group.expert_bytes for group in read_groups(load_model("llama-3.1-8b"), "Q4_K_M"))


def test_arithmetic_of_a_pass_takes_at_least_one_token_alone() -> None:
    assert at_most(10.0, 40.0, 2) == 20.0
    assert at_most(10.0, 40.0, 8) == 40.0
    assert at_most(10.0, 4.0, 8) == 4.0
    assert (at_most(None, 40.0, 8), at_most(10.0, None, 8), at_most(None, None, 8)) == (40.0, 10.0, None)


def test_weights_are_read_once_and_caches_for_each_sequence() -> None:
    """By memory alone: 8 sequences at depth d take one read of the weights and 8 of a cache."""
    model, bare = load_model("llama-3.2-1b"), replace(LLAMA, rates=(), attention=())
    bare = replace(bare, overhead_s=0.0, overhead_s_per_layer=0.0)
    groups = read_groups(model, "Q8_0")
    one, eight = (
        Runner(model, DESKTOP, bare, Request(threads=8, batch=batch)).decoder(groups).costs(4000)[0].step
        for batch in (1, 8)
    )
    assert eight.memory_s == one.memory_s
    assert eight.attention_s == pytest.approx(8 * one.attention_s)


def test_a_batch_rests_on_what_was_measured_of_several_tokens() -> None:
    """On CPUs of an ISA whose products were timed, which no card's were, and none with Arm's instructions."""
    known, arm = replace(DESKTOP, core_speed=1.0), replace(DESKTOP, arch="aarch64", simd=("neon", "dotprod"))
    assert [ask(known, batch=batch).plans[0].speed_basis for batch in (1, 4)] == ["spec", "spec"]
    for machine in (arm, replace(DESKTOP, gpus=(CARD,))):
        assert ask(machine, batch=4).plans[0].speed_basis == "assumed"
    assert ask(speculate=4).plans[0].speed_basis == "assumed"  # how much is taken is


def test_a_batch_says_what_its_speed_is_of() -> None:
    row = ask(batch=4).plans[0]
    assert [point.depth for point in row.decode_curve] == [0, 512, 1024]  # each of four has a quarter
    assert any("of all of them" in note for note in ask(batch=4).machine.notes)
    assert not list(pass_notes(Request()))


def test_each_sequence_of_a_batch_has_a_slot() -> None:
    assert ask(batch=4).request.slots == 4
    assert ask(batch=4, slots=8).request.slots == 8


@pytest.mark.parametrize("gpus", [(), (CARD,), (CARD, CARD)])
def test_a_draft_takes_its_room_where_it_runs(gpus: tuple[Gpu, ...]) -> None:
    machine = replace(DESKTOP, gpus=gpus)
    alone, beside = (budget_of(machine, Request(speculate=4, draft_bytes=size)) for size in (0, 3 * GIB))
    pools = [(b.cards or (b.main,)) for b in (alone, beside)]
    assert [one.usable_bytes - other.usable_bytes for one, other in zip(*pools, strict=True)] == [
        3 * GIB,
        *[0] * (len(gpus) - 1),
    ][: max(1, len(gpus))]
    assert budget_of(machine, Request(draft_bytes=3 * GIB)) == budget_of(machine, Request())


def test_memory_bound_guesses_pay_where_the_draft_is_small() -> None:
    machine = replace(DESKTOP, gpus=(replace(CARD, name="a card nobody timed"),))
    alone, free, dear = (
        ask(machine, **asked).plans[0].decode_tokens_per_s
        for asked in ({}, {"speculate": 4}, {"speculate": 4, "draft_bytes": 4 * GIB})
    )
    assert alone and free and dear
    assert free.expected / alone.expected == pytest.approx(2.7731)  # memory alone binds
    assert dear.expected < alone.expected


def test_a_draft_runs_where_something_of_the_model_does() -> None:
    """GLM-4.5-Air with the experts of its first layer in RAM, which has none: nothing is read there."""
    machine = replace(DESKTOP, ram_bytes=64 * GIB, gpus=(CARD, CARD))
    request = Request(speculate=4, draft_bytes=GIB)
    rows = plan(load_model("glm-4.5-air"), machine, request, ENGINES).plans
    assert any(row.decode_tokens_per_s and row.decode_tokens_per_s.expected > 0 for row in rows)


def test_a_draft_guesses_and_takes_in_what_was_checked() -> None:
    """Half of the model's bytes, three guesses: three passes of one token and one of four, at half price."""
    groups, model = read_groups(load_model("llama-3.2-1b"), "Q8_0"), load_model("llama-3.2-1b")
    asked = Request(threads=8, speculate=3, draft_bytes=sum(group.bytes for group in groups) // 2)

    def costs(engine: Engine, request: Request) -> Cost:
        return Runner(model, DESKTOP, engine, request).decoder(groups).costs(0)[0]

    one, four = (costs(LLAMA, Request(threads=8, batch=tokens)) for tokens in (1, 4))
    weights = [cost.step.seconds - cost.step.attention_s for cost in (one, four)]
    assert LLAMA.draft_checks
    assert costs(LLAMA, asked).draft_s == pytest.approx(1.5 * weights[0] + 0.5 * weights[1], rel=1e-6)
    forgetful = replace(LLAMA, draft_checks=False)
    assert costs(forgetful, asked).draft_s == pytest.approx(1.5 * weights[0], rel=1e-6)


def test_threads_share_cells_for_one_token_alone() -> None:
    """A token 513 deep takes 768 padded cells of two threads; two tokens their 514 each."""
    model, two = load_model("llama-3.2-1b"), replace(DESKTOP, cores=2, threads=2)
    fast = replace(LLAMA, cache_efficiency=1e6)  # the cache's reading hides
    one, both = (
        Runner(model, two, fast, Request(threads=2, batch=batch)).attended(513).seconds for batch in (1, 2)
    )
    assert both / one == pytest.approx(2 * 514 / 768)


def test_a_batch_deeper_than_the_context_is_refused() -> None:
    with pytest.raises(BadInput, match="8 sequences"):
        ask(batch=8, depth=1000)
    assert ask(batch=4, depth=1000).plans[0].decode_tokens_per_s
