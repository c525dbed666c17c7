"""What is taken without judging every format is what the whole plan says is best."""

import sys
from dataclasses import replace
from functools import _lru_cache_wrapper

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitcheck.choice import best, nearest
from fitcheck.errors import BadInput, FitcheckError
from fitcheck.planner import candidates_of, host_for, judge_on, plan
from fitcheck.ranking import take
from fitcheck.schema.machine import Gpu, Machine
from fitcheck.schema.plan import FormatPlan, Plan
from fitcheck.schema.request import Request
from fitcheck.sources.catalog import load_model
from fitcheck.sources.engines import load_engines
from fitcheck.sources.machines import load_machine

GIB = 1 << 30
ENGINES = load_engines()
BOX = load_machine("desktop-ddr5")
NAMES = st.sampled_from(
    (
        "qwen3-0.6b",
        "llama-3.1-8b",
        "llama-3.1-70b",
        "qwen3-30b-a3b",
        "deepseek-v3",
        "gpt-oss-20b",
        "bitnet-2b",
    )
)
CARDS = st.lists(
    st.sampled_from(
        (
            Gpu("NVIDIA GeForce RTX 4090", 24 * GIB, 1008e9),
            Gpu("NVIDIA GeForce RTX 3060", 12 * GIB, 360e9),
            Gpu("AMD Radeon RX 7900 XTX", 24 * GIB, 960e9),
        )
    ),
    max_size=2,
)
REQUESTS = st.builds(
    Request,
    context=st.sampled_from((None, 512, 4096)),
    kv_type=st.sampled_from(("f16", "q8_0")),
    engine=st.sampled_from((None, "llama.cpp", "vllm")),
    gpu_layers=st.sampled_from((None, None, 0, 3)),
    formats=st.sampled_from(((), (), ("Q4_K_M", "TQ1_0", "F16"))),
    mmap=st.booleans(),
)


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    if draw(st.booleans()):
        return load_machine(draw(st.sampled_from(("apple-m3-pro", "rtx-4080", "raspberry-pi-5"))))
    return replace(BOX, ram_bytes=draw(st.sampled_from((4, 16, 64, 512))) * GIB, gpus=tuple(draw(CARDS)))


def taken(answer: Plan) -> FormatPlan:
    """The best row; without one what fits at a speed nobody knows, else the smallest."""
    if answer.best is not None:
        return next(row for row in answer.plans if row.format == answer.best)
    able = [row for row in answer.plans if not row.needs_native_training] or answer.plans
    fitting = [row for row in able if row.fits != "no"]
    if fitting:
        return max(fitting, key=lambda row: row.bits_per_weight)
    return min(able, key=lambda row: row.total_bytes)


@given(NAMES, machines(), REQUESTS)
@settings(max_examples=120, deadline=None)
def test_the_row_taken_is_the_plans(name: str, machine: Machine, request: Request) -> None:
    model = load_model(name)
    try:
        answer = plan(model, machine, request, ENGINES)
    except BadInput as error:
        with pytest.raises(BadInput) as refused:
            take(model, host_for(machine, request, ENGINES))
        assert refused.value.message == error.message
        return
    assert take(model, host_for(machine, request, ENGINES)).plan == taken(answer)


@pytest.mark.parametrize(("name", "ram"), [("llama-3.1-8b", 64), ("deepseek-v3", 8)], ids=("small", "large"))
def test_few_formats_are_judged(name: str, ram: int) -> None:
    """One that loses least, or where none can fit, the smallest."""
    host = host_for(replace(BOX, ram_bytes=ram * GIB, gpus=()), Request(), ENGINES)
    model = load_model(name)
    candidates = candidates_of(judge_on(host, model, None))
    assert best(candidates, model) or nearest(candidates)
    assert sum(one.is_judged for one in candidates) <= 5


def forget() -> None:
    """Empty every cache of the rooms that plan."""
    for name, module in list(sys.modules.items()):
        if name.startswith("fitcheck.") and not name.startswith("fitcheck.sources"):
            for known in vars(module).values():
                if isinstance(known, _lru_cache_wrapper):
                    known.cache_clear()


def answer(name: str, machine: Machine, request: Request) -> Plan | str:
    try:
        return plan(load_model(name), machine, request, ENGINES)
    except FitcheckError as refused:
        return refused.message


@settings(max_examples=12)
@given(st.lists(st.tuples(NAMES, machines(), REQUESTS), min_size=2, max_size=3))
def test_no_answer_depends_on_what_was_asked_before(questions: list[tuple[str, Machine, Request]]) -> None:
    """What is kept from question to question is the same as if it were worked out anew."""
    one_after_another = [answer(*question) for question in questions]
    for question, known in zip(questions, one_after_another, strict=True):
        forget()
        assert answer(*question) == known
