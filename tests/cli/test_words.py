"""What people are told, word by word: bad input of every kind, odd terminals, readers that leave."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fitcheck.cli.main import _exit_code


def said(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """The one line on stderr of a question that can't be answered."""
    assert _exit_code(list(args)) == 2
    line = capsys.readouterr().err
    assert line.startswith("fitcheck: ") and line.count("\n") == 1
    return line.removeprefix("fitcheck: ").rstrip("\n")


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line.replace("fitcheck", f"{sys.executable} -m fitcheck")],
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


ON = ("--machine", "ryzen-9-7950x")


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("8b", "--threads", "two"), "--threads takes a whole number from 1 to 4096, not 'two'"),
        (("8b", "--threads", "0"), "--threads takes a whole number from 1 to 4096, not '0'"),
        (("8b", "--accept", "nan"), "--accept takes a number from 0 to 1, not 'nan'"),
        (("8b", "-ngl", "-1"), "--gpu-layers takes a whole number of at least 0, not '-1'"),
        (("need", "8b", "--speed", "0"), "--speed takes a number above 0, not '0'"),
        (("8b", "--foo"), "no such option '--foo'; did you mean '--format'? see: fitcheck plan --help"),
        (("8b", "--context", "1.5"), "'1.5' is not a number of tokens"),
        (
            ("8b", *ON, "--depth", "8k"),
            "a depth of 8k is more than the context of 4k; ask for --context 8192",
        ),
        (("8b", *ON, "--prompt", "8k"), "a prompt of 8k is more than the context of 4k"),
        (("need", "8b", "--depth", "8k"), "a depth of 8k is more than the context of 4k"),
        (("8b", *ON, "--ram", "8G", "--reserve", "8G"), "--reserve leaves nothing of 8.0 GiB"),
        (("8b", *ON, "--draft-size", "1G"), "tell of a draft, and none was asked for; add --speculate 4"),
        (("8b", "--gpu", "rtx-3099"), "no graphics card is called 'rtx-3099'; did you mean rtx-3090,"),
        (("8b", "--gpu", "ryzen-9-7950x"), "ryzen-9-7950x is no graphics card; the nearest are "),
        (("formats", "--scale-bits", "16"), "a block rule needs both its bits and its block"),
        (
            ("models", "--local", "--sort", "speed"),
            "--local lists all files by name, and --sort ranks",
        ),
        (("verify", "qwen2.5-0.5b", "--kv-type", "q8_0"), "--kv-type is for engines, and fitcheck's own"),
        (("verify", "a.gguf", "--engine", "llama.cpp", "--ram", "1G"), "--ram is for fitcheck's own kernels"),
        (("bench", "--threads", "4000"), " threads, not 4000; say --threads "),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(
    args: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert line in said(capsys, *args)


def test_a_bare_word_is_a_name_and_a_directory_of_that_name_is_pointed_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    assert said(capsys, "mine") == "no model is called 'mine'; to read what lies there, write ./mine"
    assert "holds no config.json, and no GGUF or safetensors file" in said(capsys, ".")


def test_the_first_help_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Click folds a paragraph into one unless a backspace, and no backslash, says otherwise."""
    _exit_code(["--help"])
    shown = capsys.readouterr().out
    assert "\n  fitcheck 70b --ram 16G      every format of a 70B model against 16 GiB\n" in shown
    assert "\\" not in shown


def test_a_format_named_twice_is_judged_once(capsys: pytest.CaptureFixture[str]) -> None:
    _exit_code(["8b", *ON, "--format", "q4_k_m", "--format", "Q8_0", "--format", "Q4_K_M", "--json"])
    assert [row["format"] for row in json.loads(capsys.readouterr().out)["plans"]] == ["Q8_0", "Q4_K_M"]


def test_the_table_says_at_which_depth_its_speeds_are(capsys: pytest.CaptureFixture[str]) -> None:
    for depth, words in (("0", "at an empty context"), ("2k", "with 2k tokens in the cache")):
        _exit_code(["8b", *ON, "--format", "Q4_K_M", "--depth", depth])
        assert f"expected (low-high) {words}; basis" in capsys.readouterr().out


def test_experts_in_ram_are_told_by_their_own_count(capsys: pytest.CaptureFixture[str]) -> None:
    _exit_code(["qwen3-30b-a3b", *ON, "--gpu", "rtx-3090", "--format", "Q8_0", "--n-cpu-moe", "30"])
    shown = capsys.readouterr().out
    assert " e30 " in shown and "e30: the experts of 30 layers stay in RAM" in shown


def test_a_block_rule_is_json_where_json_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    _exit_code(["formats", "--bits", "4", "--block", "64", "--json"])
    assert json.loads(capsys.readouterr().out)["bits_per_weight"] == 4.5


@pytest.mark.parametrize("columns", ["60", "40"])
def test_a_narrow_table_cuts_no_word(columns: str) -> None:
    for asked in (("70b", "--ram", "16G"), ("qwen3-30b-a3b", "--ram", "32G", "--gpu", "rtx-3060-12gb")):
        shown = shell(f"fitcheck {' '.join((*asked, *ON))}", COLUMNS=columns).stdout.decode()
        table = shown.split("\n\n")[1].splitlines()
        assert "…" not in shown
        assert all(len(line) <= int(columns) for line in table[:20])


@pytest.mark.parametrize("columns", [60, 40])
def test_claims_wrap_where_the_screen_ends(columns: int) -> None:
    shown = shell("fitcheck claims", COLUMNS=str(columns)).stdout.decode()
    inner = [line for line in shown.splitlines() if line.startswith("  ")]
    assert columns - 12 < max(map(len, inner)) <= columns


@pytest.mark.parametrize("verb", ["claims", "explain 8b", "need 8b --format Q4_K_M"])
def test_a_locale_without_our_signs_gets_question_marks(verb: str) -> None:
    done = shell(f"fitcheck {verb}", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and not done.stderr
    assert b"?" in done.stdout


@pytest.mark.parametrize("asked", ["8b", "8b --json", "8b --format Q4_K_M", "explain 8b", "claims"])
def test_a_reader_that_leaves_is_no_answer_of_no(asked: str) -> None:
    """Exit code 1 says that nothing fits: a closed pipe must not."""
    done = shell(f"fitcheck {asked} | true")
    assert done.returncode == 0 and not done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("asked", ["8b", "8b --json"])
def test_a_full_disk_is_one_line(asked: str) -> None:
    done = shell(f"fitcheck {asked} --machine ryzen-9-7950x > /dev/full")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"no space left on device" in done.stderr
