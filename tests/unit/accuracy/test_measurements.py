"""Every row of profiles/measurements: none lost, none without a reason, none impossible."""

from collections import Counter

import pytest

from fitcheck.footprint.mixes import FORMATS
from fitcheck.sources.engines import load_engines
from fitcheck.sources.measurements import load_case, load_runs
from fitcheck.sources.profiles import stems

RUNS = load_runs()
USABLE = [run for run in RUNS if not run.excluded]
ENGINES = {(engine.name, engine.device): engine for engine in load_engines()}

# Rows as collected, and how many of them can be judged. A new row raises a count, none falls.
COUNTS = {
    "bitnet.cpp": (66, 51),
    "exllamav2": (11, 11),
    "geerlingguy-ai-benchmarks": (77, 43),
    "gpu-benchmarks-on-llm-inference": (191, 189),
    "ik-llama.cpp": (227, 80),
    "llama.cpp": (43, 19),
    "llmfit-community": (212, 110),
    "mlx": (36, 36),
    "others": (8, 6),
    "strix-halo-testing": (38, 38),
}


def test_no_row_is_lost() -> None:
    rows, usable = (Counter(run.collection for run in runs) for runs in (RUNS, USABLE))
    assert {name: (rows[name], usable[name]) for name in rows} == COUNTS
    assert sum(rows.values()) == 909


@pytest.mark.parametrize("collection", COUNTS)
def test_a_row_says_what_it_is_of_and_where_it_stands(collection: str) -> None:
    for run in (run for run in RUNS if run.collection == collection):
        assert run.tokens_per_s > 0 and run.depth >= 0 and run.cards >= 1, run
        assert run.device in ("cpu", "gpu") and run.flash_attention in ("auto", "on", "off"), run
        assert run.source and run.hardware and run.published_model and run.published_engine, run
        assert run.machine in ("", *stems("machines")) and run.model in ("", *stems("models")), run
        assert run.format in ("", *FORMATS), run
        assert run.excluded or (run.machine and run.model and run.format), run
        assert not run.excluded or len(run.excluded) > 8, run


def test_no_usable_row_breaks_the_limit() -> None:
    """A run above what the memory could deliver would be of another machine, model or format."""
    for case in map(load_case, USABLE):
        limit = case.predict(ENGINES[case.run.engine, case.run.device]).tokens_per_s.limit
        assert case.run.tokens_per_s <= limit, case.run


def test_a_file_may_keep_its_output_in_another_type() -> None:
    """BitNet 2B: 656 million weights of the tied embedding at 6.5625 bits in Q6_K, 16 in F16."""
    by_type = {
        run.rest_type: load_case(run).groups for run in USABLE if run.model == "bitnet-2b" and run.rest_type
    }
    sizes = {name: sum(group.bytes for group in groups) for name, groups in by_type.items() if name}
    assert sizes["F16"] - sizes["Q6_K"] == pytest.approx(128256 * 2560 * (16 - 6.5625) / 8)
