"""Published runs beside the prediction for the same machine from its profile alone.

A sample of each kind of machine and of what binds; the whole collection is
judged by ``fitcheck accuracy``. Figures are tokens/s at an almost empty context.
"""

from statistics import median
from typing import NamedTuple

import pytest

from fitcheck.footprint.reads import read_groups
from fitcheck.schema.plan import TokenRate
from fitcheck.schema.request import Request
from fitcheck.sources.catalog import load_model
from fitcheck.sources.engines import load_engines
from fitcheck.sources.machines import load_machine
from fitcheck.speed.decode import Runner


class Run(NamedTuple):
    machine: str
    device: str
    model: str
    format: str
    threads: int | None
    tokens_per_s: float
    source: str


_IK164 = "ik_llama.cpp discussion 164, llama.cpp b4384"
_XIONGJIE = "XiongjieDai/GPU-Benchmarks-on-LLM-Inference@aa72e0"
_GEERLING = "geerlingguy/ai-benchmarks@bdf94413"

RUNS = (
    Run("ryzen-9-7950x", "cpu", "llama-3.1-8b", "BF16", 2, 4.05, _IK164),
    Run("ryzen-9-7950x", "cpu", "llama-3.1-8b", "Q4_K_S", 2, 9.57, _IK164),
    Run("ryzen-9-7950x", "cpu", "llama-3.1-8b", "Q6_K", 2, 7.62, _IK164),
    Run("ryzen-9-7950x", "cpu", "llama-3.1-8b", "IQ3_S", 2, 3.71, _IK164),
    Run("ryzen-9-7950x", "cpu", "llama-3.1-8b", "Q5_K_S", 4, 11.26, "ik_llama.cpp PR 132"),
    Run("raspberry-pi-5", "cpu", "llama-3.1-8b", "IQ4_XS", 4, 2.5, "llama.cpp issue 9774"),
    Run("intel-n100", "cpu", "llama-3.2-3b", "Q4_K_M", None, 9.06, _GEERLING),
    Run("xeon-platinum-8480-plus", "cpu", "llama-3.1-8b", "Q4_K_M", 52, 37.28, "ik_llama.cpp issue 437"),
    Run("rtx-4090", "gpu", "llama-3.1-8b", "Q4_K_M", None, 130.58, _XIONGJIE),
    Run("rtx-4090", "gpu", "llama-3.1-8b", "F16", None, 54.84, _XIONGJIE),
    Run("rtx-3090", "gpu", "llama-3.1-8b", "F16", None, 47.72, _XIONGJIE),
    Run("rtx-6000-ada", "gpu", "llama-3.1-70b", "Q4_K_M", None, 18.52, _XIONGJIE),
    Run("a100-pcie-80gb", "gpu", "llama-3.1-8b", "Q4_K_M", None, 140.62, _XIONGJIE),
    Run("rtx-3060-12gb", "gpu", "llama-3.2-3b", "Q4_K_M", None, 122.85, _GEERLING),
    Run("apple-m4", "gpu", "llama-3.1-8b", "Q4_K_M", None, 20.87, "brand-o/normiebench issue 3"),
    Run("apple-m3-ultra", "gpu", "llama-3.2-3b", "Q4_K_M", None, 154.6, _GEERLING),
    Run("ryzen-ai-max-plus-395", "gpu", "qwen3-32b", "Q8_0", None, 6.37, "lhl/strix-halo-testing@5ee14b5b"),
    Run("dgx-spark", "gpu", "qwen3-30b-a3b", "Q8_0", None, 61.06, "llama.cpp discussion 16578"),
)


def predicted(run: Run) -> TokenRate:
    engine = next(e for e in load_engines() if (e.name, e.device) == ("llama.cpp", run.device))
    model = load_model(run.model)
    request = Request(threads=run.threads, flash_attention="off")
    groups = read_groups(model, run.format)
    runner = Runner(model, load_machine(run.machine), engine, request)
    return runner.decoder(groups).at(64).tokens_per_s


def test_half_of_the_sample_is_predicted_within_a_tenth() -> None:
    errors = [abs(predicted(run).expected / run.tokens_per_s - 1) for run in RUNS]
    assert median(errors) < 0.10


def test_most_of_the_sample_lies_within_its_interval() -> None:
    """The interval is meant for eight runs of ten."""
    inside = [predicted(run).low <= run.tokens_per_s <= predicted(run).high for run in RUNS]
    assert sum(inside) >= 0.8 * len(RUNS)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run.machine}-{run.model}-{run.format}")
def test_no_published_run_breaks_the_limit(run: Run) -> None:
    assert run.tokens_per_s <= predicted(run).limit
