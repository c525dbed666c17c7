"""What llama-bench prints with ``-o json`` or ``-o jsonl``, as rows to trust or to refuse."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fitcheck.errors import BadInput
from fitcheck.schema.engine import Device
from fitcheck.schema.request import FlashAttention
from fitcheck.sources.json_fields import NotJson, parse_json

_MOST = 1 << 24  # tokens, threads: no run has more
_REMEDY = "give what llama-bench -o json prints, or fitcheck verify --json"
_FLASH: dict[object, FlashAttention] = {
    **dict.fromkeys((True, 1, "1", "on", "true"), "on"),
    **dict.fromkeys((False, 0, "0", "off", "false"), "off"),
}


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One test of llama-bench: prompt tokens or decoded ones, never both."""

    file: str
    model_bytes: int
    prompt: int
    decoded: int
    depth: int
    threads: int
    ubatch: int
    kv_type: str
    flash_attention: FlashAttention
    device: Device
    tokens_per_s: tuple[float, ...]  # of each repetition
    build: str | None  # commit and number, where the build knows them


def bench_rows(text: bytes) -> tuple[BenchRow, ...]:
    """The tests in the text: an array, one object, or an object a line. Raises BadInput.

    Tests that mix prompt and decoding (``-pg``) have no speed of either and are left out.
    """
    return rows_of(_objects(text))


def rows_of(values: list[Any]) -> tuple[BenchRow, ...]:
    """The tests that already parsed JSON holds. Raises BadInput where it holds none."""
    rows = [_row(value) for value in values]
    pure = tuple(row for row in rows if bool(row.prompt) != bool(row.decoded))
    if not pure:
        raise BadInput("llama-bench's output holds no test of prompt or decoding alone", _REMEDY)
    return pure


def _objects(text: bytes) -> list[Any]:
    """Whole text as JSON, else line by line."""
    try:
        value = parse_json(text)
        return value if isinstance(value, list) else [value]
    except NotJson as whole:
        try:
            return [parse_json(line) for line in text.splitlines() if line.strip()]
        except NotJson:
            raise BadInput(f"the results are no JSON: {whole}", _REMEDY) from None


def _row(value: Any) -> BenchRow:
    if not isinstance(value, dict) or not {"n_prompt", "n_gen"} & value.keys():
        raise BadInput("the results hold something that is no test of llama-bench", _REMEDY)
    prompt, decoded = _count(value, "n_prompt"), _count(value, "n_gen")
    kv_type = _text(value, "type_k") or "f16"
    if (_text(value, "type_v") or kv_type) != kv_type:
        raise BadInput("keys and values are cached in different types", "calibrate with one type for both")
    return BenchRow(
        file=_text(value, "model_filename"),
        model_bytes=_count(value, "model_size"),
        prompt=prompt,
        decoded=decoded,
        depth=_count(value, "n_depth", default=0),
        threads=_count(value, "n_threads"),
        ubatch=_count(value, "n_ubatch", default=512) or 512,
        kv_type=kv_type,
        flash_attention=_flash(value.get("flash_attn")),
        device=_device(value),
        tokens_per_s=_speeds(value, prompt + decoded),
        build=_build(value),
    )


def _speeds(value: Mapping[str, Any], tokens: int) -> tuple[float, ...]:
    """From the raw nanoseconds; the average where an old build printed no samples."""
    samples = value.get("samples_ns") or [value.get("avg_ns")]
    if not isinstance(samples, list) or not all(_is_number(ns) and ns > 0 for ns in samples):
        raise BadInput("a test of llama-bench has no times", _REMEDY)
    return tuple(tokens * 1e9 / ns for ns in samples)


def _device(value: Mapping[str, Any]) -> Device:
    """A GPU's run names the GPU, and put layers on it."""
    layers = value.get("n_gpu_layers")
    return "gpu" if _text(value, "gpu_info") and layers != 0 else "cpu"


def _flash(value: object) -> FlashAttention:
    return _FLASH.get(value, "auto") if isinstance(value, bool | int | str) else "auto"


def _build(value: Mapping[str, Any]) -> str | None:
    commit, number = _text(value, "build_commit"), value.get("build_number")
    if not commit or commit == "unknown":
        return f"b{number}" if number else None
    return f"{commit} (b{number})" if number else commit


def _count(value: Mapping[str, Any], name: str, default: int | None = None) -> int:
    found = value.get(name, default)
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= (1 << 62):
        raise BadInput(f"a test of llama-bench has no usable {name}", _REMEDY)
    if name != "model_size" and found > _MOST:
        raise BadInput(f"{name} of llama-bench is {found}, more than any run has", _REMEDY)
    return found


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name) or ""
    if not isinstance(found, str):
        raise BadInput(f"{name} of llama-bench is no text", _REMEDY)
    return found[:4096]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
