"""The main job from the outside: what people and scripts see."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

SCHEMAS = Path(__file__).parents[2] / "fitcheck" / "render" / "schemas"


def run(*args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fitcheck", *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=env,
    )


@cache
def answer(*args: str) -> tuple[int, dict[str, Any]]:
    done = run(*args, "--json")
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


def row(plan: dict[str, Any], name: str) -> dict[str, Any]:
    return next(row for row in plan["plans"] if row["format"] == name)


@pytest.mark.parametrize(("columns", "lines"), [("80", 1), ("120", 1), ("60", 2)])
def test_a_format_takes_one_line_of_eighty_columns(columns: str, lines: int) -> None:
    """Columns come closer together before a cell is folded."""
    shown = run(
        "70b", "--ram", "16G", "--machine", "ryzen-9-7950x", env={**os.environ, "COLUMNS": columns}
    ).stdout.splitlines()
    start, end = (
        next(n for n, line in enumerate(shown) if line.startswith(name)) for name in ("F16", "BF16")
    )
    assert end - start == lines
    assert all(len(line) <= int(columns) for line in shown[start:end])


def test_70b_in_16_gib_tells_the_truth() -> None:
    """The headline claim. Sizes: shared facts and the published file's own tensors."""
    code, plan = answer("70b", "--ram", "16G", "--context", "4096")
    assert plan["schema"] == "fitcheck.plan/1"
    assert plan["model"]["name"] == "llama-3.1-70b"
    assert plan["model"]["resolved_from"] == "70b"
    assert plan["machine"]["ram_bytes"] == 16 * 2**30
    assert row(plan, "Q4_K_M")["weights_bytes"] == 42_512_531_712
    for name, gigabytes in {
        "F16": 141.1,
        "TQ1_0": 15.90,
        "TL2": 18.54,
        "I2_S": 21.32,
        "TQ2_0": 19.11,
    }.items():
        digits = 1 if name == "F16" else 2
        assert round(row(plan, name)["weights_bytes"] / 1e9, digits) == gigabytes, name
    assert {r["kv_bytes"] for r in plan["plans"]} == {1_342_177_280}
    assert code == 1
    assert plan["best"] is None
    assert {r["fits"] for r in plan["plans"]} == {"no"}
    assert "does not fit" in plan["verdict"]


def test_70b_in_64_gib_fits() -> None:
    code, plan = answer("70b", "--ram", "64G")
    assert code == 0
    assert row(plan, "Q4_K_M")["fits"] == "yes"
    assert row(plan, "F16")["fits"] == "no"
    best = row(plan, plan["best"])
    assert best["fits"] == "yes"
    assert not best["needs_native_training"]


def test_other_memory_modules() -> None:
    """Two channels of DDR5-5600 can carry 89.6 GB/s; no speed may need more."""
    _, plan = answer("8b", "--ram", "32G", "--memory", "2x5600")
    assert "memory" in plan["machine"]["overrides"]
    q8 = row(plan, "Q8_0")["decode_tokens_per_s"]
    assert q8["limit"] == pytest.approx(89.6e9 / 7.98e9, rel=0.02)


def test_every_row_adds_up() -> None:
    _, plan = answer("70b", "--ram", "64G")
    for r in plan["plans"]:
        parts = r["weights_bytes"] + r["kv_bytes"] + r["compute_bytes"] + r["runtime_bytes"]
        assert r["total_bytes"] == parts, r["format"]
        assert r["headroom_bytes"] == plan["machine"]["usable_bytes"] - parts
        refused = r["placement"] is None and r["why"] in r["notes"]
        assert (r["fits"] == "no") == (r["headroom_bytes"] < 0 or refused)
        if speed := r["decode_tokens_per_s"]:
            assert 0 < speed["low"] <= speed["expected"] <= speed["high"] <= speed["limit"]
            assert r["speed_basis"] in ("measured", "profile", "spec", "assumed")


def test_what_no_engine_runs_here_is_no_yes() -> None:
    """A Raspberry Pi has no GPU for ExLlamaV2; whether vLLM runs on its CPU nobody measured."""
    code, plan = answer("8b", "--machine", "raspberry-pi-5")
    exl2, tl2, awq = (row(plan, name) for name in ("EXL2-4.0bpw", "TL2", "AWQ-4bit-g128"))
    assert (code, exl2["fits"], exl2["why"], exl2["max_context"]) == (0, "no", "exllamav2 needs a GPU", 0)
    assert (tl2["fits"], tl2["why"]) == ("no", "TL2 has kernels for x86_64 only")
    assert (awq["fits"], awq["placement"]) == ("yes", None)
    for name, told in (
        ("EXL2-4.0bpw", "can't run here as EXL2-4.0bpw: exllamav2 needs a GPU"),
        ("AWQ-4bit-g128", "but no engine that runs it here is known: no measured speed of vllm on a CPU"),
    ):
        code, plan = answer("8b", "--machine", "raspberry-pi-5", "--format", name)
        assert code == 1 and plan["best"] is None and told in plan["verdict"]


def test_a_card_makes_its_formats_run() -> None:
    code, plan = answer("8b", "--ram", "32G", "--gpu", "rtx-3090", "--format", "EXL2-4.0bpw")
    assert (code, row(plan, "EXL2-4.0bpw")["fits"]) == (0, "yes")


@pytest.mark.parametrize(
    "args",
    [
        ("70b", "--ram", "64G"),
        ("models", "8b", "--ram", "8G", "--all"),
        ("nosuch",),
        ("8b", "--machine", "rtx-3090"),
    ],
)
def test_json_keeps_its_schema(args: tuple[str, ...]) -> None:
    import jsonschema

    _, printed = answer(*args)
    name = printed["schema"].removeprefix("fitcheck.").replace("/", "-")
    jsonschema.validate(printed, json.loads((SCHEMAS / f"{name}.json").read_text()))


def test_shipped_schemas_are_current() -> None:
    from fitcheck.render.json_schema import path_of, schemas, text_of

    for name, schema in schemas().items():
        assert path_of(name).read_text() == text_of(schema), "run: python -m fitcheck.render.json_schema"


def test_ternary_formats_say_what_they_need() -> None:
    _, plan = answer("70b", "--ram", "64G")
    ternary = [r for r in plan["plans"] if r["format"] in ("trit5", "I2_S", "TL2", "TQ1_0", "TQ2_0")]
    assert len(ternary) == 5
    for r in ternary:
        assert r["needs_native_training"]
        assert "destroys" in r["quality_note"]
    _, native = answer("bitnet-2b", "--ram", "16G")
    assert not any(r["needs_native_training"] for r in native["plans"])


@pytest.mark.parametrize(
    "args",
    [
        ("nosuch",),
        ("70b", "--ram", "lots"),
        ("70b", "--ram", "0"),
        ("70b", "--format", "Q4_K_X"),
        ("70b", "--machine", "abacus"),
        ("70b", "--engine", "steam"),
        ("70b", "--context", "999M"),
        ("70b", "--simd", "mmx3"),
        ("70b", "--bandwidth", "fast"),
        ("70b", "--memory", "5600"),
        ("70b", "--kv-type", "q3_0"),
        ("70b", "--nonsense"),
        ("70b", "--vram", "0"),
        ("70b", "--gpu", "abacus"),
        ("70b", "--gpu", "epyc-9654"),
        ("70b", "--gpu", "0x rtx-3090"),
        ("70b", "--gpu", "rtx-3090", "--no-gpu"),
        ("70b", "--gpu", "rtx-3090", "-ngl", "82"),
        ("70b", "--gpu", "rtx-3090", "-ngl", "-1"),
        ("70b", "--gpu", "rtx-3090", "--n-cpu-moe", "81"),
        ("70b", "--no-gpu", "-ngl", "4"),
        ("70b", "--machine", "apple-m3", "--vram", "24G"),
        ("70b", "--disk", "0"),
        ("",),
        ("plan",),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    args: tuple[str, ...], refusal: Callable[..., tuple[str, str]]
) -> None:
    out, err = refusal(*args, "--json")
    assert err.count("\n") == 1
    error = json.loads(out)
    assert error["schema"] == "fitcheck.error/1"
    assert error["exit_code"] == 2
    assert error["error"]
    assert error["remedy"]


def test_an_unknown_name_gets_the_nearest_three() -> None:
    done = run("qwen3-23b")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "qwen3-32b" in done.stderr
    assert done.stderr.count(", ") >= 2


def test_the_table_without_a_terminal_is_plain() -> None:
    done = run("70b", "--ram", "64G")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "Q4_K_M" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_models_are_ranked_for_a_machine() -> None:
    """The first of them is what a person would take; what does not fit is counted."""
    code, ranking = answer("models", "qwen2.5", "--ram", "16G", "--threads", "8")
    assert (code, ranking["schema"]) == (0, "fitcheck.ranking/1")
    assert ranking["models"][0]["model"]["name"] == "qwen2.5-14b"
    assert ranking["not_fitting"] > 0
    assert all(one["plan"]["fits"] != "no" for one in ranking["models"])
    done = run("models", "qwen2.5", "--ram", "16G", "--all", "--sort", "name")
    assert "order: by name" in done.stdout
    assert "qwen2.5-72b" in done.stdout


def test_models_without_a_machine_are_listed_and_filtered() -> None:
    done = run("models", "moe", "qwen3")
    names = [line.split()[0] for line in done.stdout.splitlines()[1:]]
    assert "qwen3-30b-a3b" in names
    assert "qwen3-8b" not in names


def test_local_files_are_judged_each_for_itself(tmp_path: Path, tiny_gguf: Path) -> None:
    folder = tmp_path / ".lmstudio" / "models" / "someone" / "tiny"
    folder.mkdir(parents=True)
    (folder / "tiny.gguf").write_bytes(tiny_gguf.read_bytes())
    (folder / "broken.gguf").write_bytes(b"GGUF\x03")
    done = run("models", "--local", "--json", env={**os.environ, "HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    rows = {Path(row["path"]).name: row for row in json.loads(done.stdout)["models"]}
    assert rows["tiny.gguf"]["plan"]["format"] == "F32"
    assert rows["tiny.gguf"]["plan"]["fits"] == "yes"
    assert rows["broken.gguf"]["plan"] is None
    assert rows["broken.gguf"]["error"]


def test_alone_it_wants_a_terminal() -> None:
    done = run()
    assert done.returncode == 2
    assert done.stdout == ""
    assert "needs a terminal" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "verb", ["plan", "probe", "bench", "verify", "explain", "need", "tui", "models", "machines", "formats"]
)
def test_help_of_every_verb(verb: str) -> None:
    done = run(verb, "--help")
    assert done.returncode == 0
    assert "Usage: fitcheck" in done.stdout


def test_an_explanation_adds_up() -> None:
    _, plan = answer("70b", "--ram", "64G", "--format", "Q4_K_M")
    _, told = answer("explain", "70b", "--format", "Q4_K_M")
    assert (
        sum(line["bytes"] for line in told["lines"]) == told["total_bytes"] == plan["plans"][0]["total_bytes"]
    )
    assert all(line["rule"] and line["source"] for line in told["lines"])


def test_a_block_rule() -> None:
    assert "4.5 bits" in run("formats", "--bits", "4", "--block", "64").stdout
    assert "4.25 bits" in run("formats", "--bits", "4", "--block", "128").stdout


def test_an_answer_imports_nothing_heavy() -> None:
    """A plan must not wait for numpy, pydantic, Textual, psutil or py-cpuinfo."""
    code = (
        "import sys; from fitcheck.cli.main import _exit_code; _exit_code(['70b', '--ram', '16G', '--json']);"
        "heavy = {'numpy', 'pydantic', 'textual', 'psutil', 'cpuinfo'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_card_beside_ram_gets_layers_and_flags() -> None:
    code, plan = answer("70b", "--ram", "64G", "--gpu", "rtx-3090", "--format", "Q4_K_M")
    assert code == 0
    place = row(plan, "Q4_K_M")["placement"]
    assert 0 < place["gpu_layers"] < place["layers_total"] == 81
    assert f"-ngl {place['gpu_layers']}" in place["flags"]
    assert [use["kind"] for use in place["devices"]] == ["gpu", "ram"]
    assert f"{place['gpu_layers']} of 81 layers on the GPU" in plan["verdict"]
    _, forced = answer("70b", "--ram", "64G", "--gpu", "rtx-3090", "--format", "Q4_K_M", "-ngl", "20")
    assert row(forced, "Q4_K_M")["placement"]["gpu_layers"] == 20


def test_vram_alone_is_a_card_without_a_name() -> None:
    _, plan = answer("8b", "--ram", "16G", "--vram", "24G", "--format", "Q8_0")
    assert plan["machine"]["gpus"][0]["vram_bytes"] == 24 * 2**30
    assert row(plan, "Q8_0")["speed_basis"] == "assumed"
    _, two = answer("8b", "--ram", "16G", "--gpu", "2xrtx-3090", "--vram", "12G", "--format", "Q8_0")
    assert [gpu["vram_bytes"] for gpu in two["machine"]["gpus"]] == [12 * 2**30] * 2


def test_the_table_beside_a_card_fits_a_terminal() -> None:
    done = run("qwen3-30b-a3b", "--ram", "32G", "--gpu", "rtx-3060-12gb")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert all(len(line.rstrip()) <= 80 for line in lines[:-1])
    assert "gpu layers" in done.stdout
    assert lines[-1].startswith("llama.cpp: -ngl 49 --n-cpu-moe ")


def test_beyond_ram_the_disk_is_said() -> None:
    code, plan = answer("70b", "--ram", "16G", "--disk", "7")
    assert code == 1
    assert row(plan, "Q4_K_M")["decode_bound"] == "disk"
    assert "From the disk" in plan["verdict"]
    slower = row(answer("70b", "--ram", "16G", "--disk", "1")[1], "Q4_K_M")["decode_tokens_per_s"]
    assert slower["expected"] < row(plan, "Q4_K_M")["decode_tokens_per_s"]["expected"]


def test_an_explanation_by_device_adds_up() -> None:
    _, told = answer("explain", "70b", "--ram", "64G", "--gpu", "rtx-3090")
    _, plan = answer("70b", "--ram", "64G", "--gpu", "rtx-3090", "--format", "Q4_K_M")
    assert told["memory"] == plan["plans"][0]["memory"]
    assert sum(item["bytes"] for item in told["memory"]) == told["peak_bytes"]
    assert {item["device"] for item in told["memory"]} == {"ram", "NVIDIA GeForce RTX 3090"}


def test_sequences_together_are_said_and_counted_together() -> None:
    asked = ("llama-3.1-8b", "--ram", "32G", "--memory", "2x5600", "--no-gpu", "--format", "Q8_0")
    _, alone = answer(*asked)
    _, eight = answer(*asked, "--batch", "8")
    one, all_ = (row(plan, "Q8_0")["decode_tokens_per_s"]["expected"] for plan in (alone, eight))
    assert one < all_ <= 8 * one
    assert eight["request"]["batch"] == eight["request"]["slots"] == 8
    assert any(note.startswith("8 sequences decode together") for note in eight["machine"]["notes"])


def test_guesses_are_said_with_their_cost() -> None:
    asked = ("llama-3.1-8b", "--ram", "32G", "--no-gpu", "--format", "Q8_0")
    _, plan = answer(*asked, "--speculate", "4", "--accept", "0.7", "--draft-size", "1")
    (note,) = [note for note in plan["machine"]["notes"] if note.startswith("speculative decoding")]
    assert "a draft of 1.0 GiB guesses 4 tokens" in note and "2.77 tokens a pass" in note


@pytest.mark.parametrize(
    "asked",
    [("--batch", "0"), ("--accept", "1.5"), ("--batch", "8", "--depth", "4k", "--context", "4k")],
)
def test_impossible_passes_are_refused(asked: tuple[str, ...]) -> None:
    done = run("llama-3.1-8b", "--ram", "32G", *asked)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
