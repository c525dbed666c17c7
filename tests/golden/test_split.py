"""Against llama.cpp b11434 with layers on several devices, from records of real runs.

``llama_cpp_split.csv``: buffers that the library reserved for files of real
shapes in F16, with remote devices on the same machine in the cards' place
that, as CUDA does, take prompts through weights in RAM. ``cards_mib`` in the
cards' order. ``gpu_layers`` counts the output.
"""

import csv
from pathlib import Path

import pytest

from fitcheck.budget import Pool
from fitcheck.footprint.assignment import weights_bytes
from fitcheck.footprint.layers import by_layer, by_layer_of_file
from fitcheck.footprint.memory import Choices
from fitcheck.footprint.offload import card_buffers, host_buffer
from fitcheck.footprint.repack import repacked_bytes
from fitcheck.footprint.residence import Residence
from fitcheck.placement import shares_of, spread_over
from fitcheck.schema.model import Model
from fitcheck.schema.weights import FileWeights, WeightGroup
from fitcheck.sources.catalog import load_model

MIB = 1 << 20
with (Path(__file__).parent / "llama_cpp_split.csv").open(newline="") as file:
    ROWS = list(csv.DictReader(file))

# Mixers of recurrent state keep more than the formula says, on either side, and
# qwen3.5 with experts in RAM takes in two of their stacks at once: known, and
# within the GiB that is left free on each card.
UNEXPLAINED = {
    ("nemotron-h-8b", "split"),
    ("nemotron-h-8b", "pipeline"),
    ("qwen3.5-35b-a3b", "split"),
    ("qwen3.5-35b-a3b", "experts"),
}


def _kind(row: dict[str, str]) -> str:
    whole = by_layer(load_model(row["model"]), "F16").layers == int(row["gpu_layers"])
    if int(row["cpu_moe_layers"]):
        return "experts"
    if not whole:
        return "split"
    return "pipeline" if int(row["cards"]) > 1 else "whole"


def _asked(row: dict[str, str]) -> Choices:
    return Choices("f16", 1, int(row["ubatch"]), row["flash_attention"])  # type: ignore[arg-type]


EXPLAINED = [row for row in ROWS if (row["model"], _kind(row)) not in UNEXPLAINED]


def _name(row: dict[str, str]) -> str:
    return "-".join(value for key, value in row.items() if not key.endswith("_mib"))


def test_few_rows_are_unexplained() -> None:
    assert len(EXPLAINED) >= 90


@pytest.mark.parametrize("row", EXPLAINED, ids=_name)
def test_the_buffer_in_ram(row: dict[str, str]) -> None:
    size = host_buffer(
        load_model(row["model"]), int(row["context"]), _asked(row), pipelined=_kind(row) == "pipeline"
    )
    assert size / MIB == pytest.approx(float(row["host_mib"]), rel=0.002, abs=0.1)


@pytest.mark.parametrize("row", EXPLAINED, ids=_name)
def test_the_buffers_of_cards_are_close_and_rarely_under(row: dict[str, str]) -> None:
    model, kind = load_model(row["model"]), _kind(row)
    staged = by_layer(model, "F16").largest if kind in ("split", "experts") else 0
    cards = [float(size) for size in row["cards_mib"].split()]
    for number, reserved in enumerate(cards):
        known = card_buffers(model, int(row["context"]), _asked(row))
        size = known.on(pipelined=kind == "pipeline", last=number == len(cards) - 1, staged=staged)
        assert 0.94 * reserved < size / MIB < 1.23 * reserved


def test_gemma_2_2b_is_repacked_as_its_log_says() -> None:
    """llama.cpp issue 19578, on an Arm with dot products: 1552.05 MiB mapped, 1513.16 repacked.

    Its file was made with an importance matrix: the first three ffn_down are
    Q4_1 instead of Q4_0, and Q4_1 is not repacked.
    """
    model = load_model("gemma-2-2b")
    blocks = 3 * 9216 * 2304 // 32
    mapped = weights_bytes(model, "Q4_0") + blocks * (20 - 18)
    repacked = repacked_bytes(model, "Q4_0", ("neon", "dotprod")) - blocks * 18
    assert mapped / MIB == pytest.approx(1552.05, abs=0.01)
    assert repacked / MIB == pytest.approx(1513.16, abs=0.01)


def test_phi_4_mini_takes_both_copies() -> None:
    """llama.cpp issue 12149: 4.3 GB for Q4_0, which was repacked, 2.7 GB for Q4_K_S, which then wasn't."""
    model = load_model("phi-4-mini")
    beside = 2.7e9 - weights_bytes(model, "Q4_K_S")
    both = weights_bytes(model, "Q4_0") + repacked_bytes(model, "Q4_0", ("avx2",))
    assert both + beside == pytest.approx(4.3e9, rel=0.05)


def test_what_fit_params_projects_for_an_rtx_4090() -> None:
    """tools/fit-params/README.md: Qwen3-30B-A3B in F16 at 40960 tokens, "projected to use 61807 MiB"."""
    model = load_model("qwen3-30b-a3b")
    weights = by_layer(model, "F16")
    home = Residence(model, weights, 40960, Choices("f16", 1, 512, "auto"))
    spread = spread_over((24 << 30,), weights.layers, weights.layers, 0)
    assert home.card_bytes(spread, 0) / MIB == pytest.approx(61807, rel=0.002)


# Layers of a file whose ffn_down and attn_v are Q6_K in the first half of 16 and
# Q4_K after it, as llama.cpp b11434 placed them: MiB on each card.
@pytest.mark.parametrize(
    ("gpu_layers", "cards"), [(13, (614.71,)), (17, (328.83, 433.98))], ids=("one card", "two cards")
)
def test_layers_lie_where_llama_cpp_puts_them(gpu_layers: int, cards: tuple[float, ...]) -> None:
    model = load_model("llama-3.2-1b")
    weights = by_layer_of_file(model, _half_better(model))
    pools = tuple(Pool(str(size), "gpu", 24 << 30, 0) for size in cards)
    home = Residence(model, weights, 4096, Choices("f16", 1, 512, "on"))
    spread = spread_over(shares_of(pools), 17, gpu_layers, 0)
    placed = [home.card_weights(spread, number) / MIB for number in range(len(cards))]
    assert placed == pytest.approx(cards, abs=0.01)


def _half_better(model: Model) -> FileWeights:
    """The file's own figures: eight layers of either kind, a tied table in Q6_K."""
    hidden, ffn, kv, norms = 2048, 8192, 512, 2 * 2048 * 4
    common = (2 * hidden * hidden + hidden * kv + 2 * hidden * ffn) * 144 // 256 + norms
    better, usual = ((hidden * ffn + hidden * kv) * size // 256 for size in (210, 144))
    layers = ((common + better, 0),) * 8 + ((common + usual, 0),) * 8
    table, outside = 128256 * hidden * 210 // 256, hidden * 4 + 32 * 4
    inside = sum(size for size, _ in layers)
    groups = (
        WeightGroup("Q6_K", "embedding", 1, 128256 * hidden, table, 128256 * hidden, table),
        WeightGroup("Q4_K", "ffn", 112, 1, inside + outside, 1, inside + outside),
    )
    whole = table + inside + outside
    return FileWeights("Q4_K", groups, whole, whole, layers=layers)
