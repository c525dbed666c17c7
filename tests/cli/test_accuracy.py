"""fitcheck accuracy from the outside."""

import json
from collections.abc import Callable

import jsonschema
import pytest
from click.testing import CliRunner

from fitcheck.cli.main import cli
from fitcheck.render.json_schema import path_of


def run(*args: str) -> str:
    result = CliRunner().invoke(cli, ["accuracy", *args])
    assert result.exit_code == 0, result.output
    return result.output


def test_json_is_as_its_schema_says() -> None:
    printed = json.loads(run("--engine", "ExLlamaV2", "--json"))
    schema = json.loads(path_of("fitcheck.accuracy/1").read_text(encoding="utf-8"))
    jsonschema.validate(printed, schema)
    assert printed["published_runs"] == 909
    assert printed["judged_runs"] == 11
    assert {score["kind"] for score in printed["scores"]} >= {"all", "engine", "device", "format", "basis"}


@pytest.mark.parametrize("form", [(), ("--markdown",)])
def test_what_was_left_out_is_named(form: tuple[str, ...]) -> None:
    text = run("--engine", "exllamav2", *form)
    assert "11 judged" in text
    assert "two sockets: where pages lie decides" in text
    assert "llmfit's formula" in text


def test_what_a_profile_should_hold_is_printed() -> None:
    lines = run("--engine", "exllamav2", "--fit").splitlines()
    assert lines[0] == "exllamav2, gpu"
    assert any(line.startswith("  read_efficiency = 0.8") for line in lines)
    assert any(line.startswith("  assumed: ") for line in lines)


@pytest.mark.parametrize(
    "args",
    [("--engine", "nobody"), ("--engine", "transformers"), ("--json", "--markdown"), ("--fit", "--json")],
)
def test_bad_questions_end_in_one_line(
    args: tuple[str, ...], refusal: Callable[..., tuple[str, str]]
) -> None:
    _, err = refusal("accuracy", *args)
    assert len(err.splitlines()) == 1
