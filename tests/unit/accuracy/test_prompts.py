"""Every row of profiles/measurements/prompts, and how they are judged."""

from collections import Counter

import pytest

from fitcheck.accuracy.prompts import PromptCase, prompt_scores
from fitcheck.footprint.mixes import FORMATS
from fitcheck.sources.engines import load_engines
from fitcheck.sources.profiles import stems
from fitcheck.sources.prompts import load_prompts, prompt_case

RUNS = load_prompts()
ENGINES = {(engine.name, engine.device): engine for engine in load_engines()}
CASES = [prompt_case(run) for run in RUNS if not run.excluded]

# Rows as collected, and how many of them can be judged. A new row raises a count, none falls.
COUNTS = {"gpu-benchmarks-on-llm-inference": (191, 174), "ik-llama.cpp": (44, 19), "llama.cpp": (20, 16)}


def test_no_row_is_lost() -> None:
    rows, usable = (Counter(run.collection for run in kind) for kind in (RUNS, [c.run for c in CASES]))
    assert {name: (rows[name], usable[name]) for name in rows} == COUNTS | {"mlx": (66, 56)}


def test_a_row_says_what_it_is_of_and_where_it_stands() -> None:
    for run in RUNS:
        assert run.tokens_per_s > 0 and run.tokens > 0 and run.cards >= 1, run
        assert run.source and run.hardware and run.published_model and run.published_engine, run
        assert run.machine in ("", *stems("machines")) and run.model in ("", *stems("models")), run
        assert run.format in ("", *FORMATS), run
        assert run.excluded or (run.machine and run.model and run.format), run
        assert not (run.fitted and run.excluded), run


def test_no_usable_prompt_is_unknown() -> None:
    for case in CASES:
        assert _expected(case), case.run


def test_rows_that_set_a_figure_are_met_and_stand_apart() -> None:
    """They bound what a slip in a profile can do; the others judge it."""
    for case in CASES:
        if case.run.fitted:
            assert _expected(case) == pytest.approx(case.run.tokens_per_s, rel=0.16), case.run
    scores = {score.name: score for score in prompt_scores(CASES, list(ENGINES.values()))}
    assert scores["llama.cpp, GPU, 4 cards"].median < 0.10
    assert scores["llama.cpp, GPU, 2 cards"].median < 0.05
    assert scores["mlx, GPU"].runs + scores["mlx, GPU: a figure was set from them"].runs == 56


def test_other_engines_are_not_judged() -> None:
    assert {score.name for score in prompt_scores(CASES, [ENGINES["vllm", "gpu"]])} == set()


def _expected(case: PromptCase) -> float | None:
    return case.expected(ENGINES[case.run.engine, case.run.device])
