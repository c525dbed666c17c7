"""Commands that are given a real file judge that file; asked for a format, what its shape would be."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fitcheck.cli import models, need, plan
from fitcheck.sources.gguf_file import read_gguf
from fitcheck.sources.gguf_weights import file_weights


def answer(command: Any, *words: str) -> dict[str, Any]:
    return json.loads(CliRunner().invoke(command, [*words, "--json"]).output)


def test_a_file_s_own_weights_are_what_a_machine_needs(small_gguf: str) -> None:
    weights = file_weights(read_gguf(Path(small_gguf)))
    (row,) = answer(need.command, small_gguf, "--speed", "1")["requirements"]
    assert row["format"] == weights.name
    (planned,) = answer(plan.command, small_gguf, "--machine", "desktop-ddr5")["plans"]
    assert planned["weights_bytes"] == weights.tensor_bytes


@pytest.mark.parametrize("command", [plan, need])
def test_with_a_format_it_is_the_shape_that_is_judged(small_gguf: str, command: Any) -> None:
    machine = ("--machine", "desktop-ddr5") if command is plan else ()
    told = answer(command.command, small_gguf, "--format", "Q8_0", *machine)
    (row,) = told["plans"] if command is plan else told["requirements"]
    assert row["format"] == "Q8_0"


def test_a_mix_for_experts_is_no_need_of_a_model_without() -> None:
    names = {row["format"] for row in answer(need.command, "8b", "--speed", "1")["requirements"]}
    assert "Q4_K_M" in names and "MXFP4_MOE" not in names


def test_what_can_t_be_judged_stands_below_the_list(tmp_path: Path, small_gguf: str) -> None:
    """An error as wide as a line would push the columns apart."""
    folder = tmp_path / ".lmstudio" / "models" / "someone" / "small"
    folder.mkdir(parents=True)
    (folder / "small.gguf").symlink_to(small_gguf)
    (folder / "broken.gguf").write_bytes(b"<html>")
    home = {"HOME": str(tmp_path), "USERPROFILE": "", "XDG_CACHE_HOME": "", "XDG_DATA_HOME": ""}
    done = CliRunner(env=home).invoke(models.command, ["--local", "--machine", "desktop-ddr5"])
    row, told = (
        next(line for line in done.output.splitlines() if word in line) for word in ("small/small", "judged")
    )
    assert "LM Studio" in row and "yes" in row
    assert told.startswith("someone/small/broken (LM Studio) can't be judged: broken.gguf is not a GGUF file")
