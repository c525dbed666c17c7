"""explain takes the machine's engines the way a plan does, the user's calibration with them."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fitcheck.cli import explain, plan
from fitcheck.schema.engine import Engine
from fitcheck.schema.machine import Machine
from fitcheck.sources.engines import load_engines
from fitcheck.sources.gguf_file import read_gguf
from fitcheck.sources.gguf_weights import file_weights

ASKED = ["8b", "--format", "Q4_K_M", "--machine", "m2-max"]


@pytest.mark.parametrize("room", [explain, plan])
def test_both_ask_for_the_engines_as_calibrated(room: object, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def engines_of(machine: Machine) -> tuple[Engine, ...]:
        asked.append(machine.name)
        return load_engines()

    monkeypatch.setattr(room, "engines_of", engines_of)
    done = CliRunner().invoke(room.command, [*ASKED, "--json"])  # type: ignore[attr-defined]
    assert done.exit_code == 0, done.output
    assert asked == ["apple-m2-max"]


FORMATS = ("Q4_K_M", "MLX-4bit", "MLX-4bit-g32", "MLX-mixed-4-6", "GPTQ-4bit-g128", "EXL2-4.0bpw")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("machine", ["m2-max", "raspberry-pi-5"])
def test_the_lines_add_up_to_what_a_plan_says(form: str, machine: str) -> None:
    """Also where no engine runs the format."""
    run, asked = CliRunner(), ["8b", "--format", form, "--machine", machine, "--json"]
    lines = json.loads(run.invoke(explain.command, asked).output)
    told = json.loads(run.invoke(plan.command, asked).output)
    assert lines["total_bytes"] == told["plans"][0]["total_bytes"]
    assert sum(line["bytes"] for line in lines["lines"]) == lines["total_bytes"]
    assert lines["memory"] == told["plans"][0]["memory"]


def explained(*words: str) -> dict[str, Any]:
    return json.loads(CliRunner().invoke(explain.command, [*words, "--machine", "m2-max", "--json"]).output)


def test_a_file_s_lines_are_its_own_tensors(small_gguf: str) -> None:
    read = file_weights(read_gguf(Path(small_gguf)))
    answer = explained(small_gguf)
    weights = {line["name"]: line["bytes"] for line in answer["lines"] if line["part"] == "weights"}
    assert weights == {f"{group.part} {group.type}": group.bytes for group in read.groups}
    assert sum(weights.values()) == read.tensor_bytes
    assert {name.split()[0] for name in weights} == {"embedding", "attention", "experts", "norm", "output"}
    assert sum(line["bytes"] for line in answer["lines"]) == answer["total_bytes"]
    assert f"the file has {read.file_bytes:,} bytes".replace(",", " ") in answer["notes"][-1]


def test_a_file_is_explained_as_it_is_planned(small_gguf: str) -> None:
    told = json.loads(CliRunner().invoke(plan.command, [small_gguf, "--machine", "m2-max", "--json"]).output)
    (row,), answer = told["plans"], explained(small_gguf)
    assert answer["total_bytes"] == row["total_bytes"]
    assert (answer["format"], answer["memory"]) == (row["format"], row["memory"])


def test_with_a_format_a_file_s_shape_is_explained(small_gguf: str) -> None:
    answer = explained(small_gguf, "--format", "Q8_0")
    assert answer["format"] == "Q8_0" and not answer["notes"]
    assert any(line["name"] == "blk.*.attn_q.weight Q8_0" for line in answer["lines"])


def test_the_format_of_a_tag_is_explained() -> None:
    assert explained("qwen3:8b-q8_0")["format"] == "Q8_0"
    assert explained("qwen3:8b")["format"] == "Q4_K_M"
