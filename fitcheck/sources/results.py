"""Results of runs -> Runs: what llama-bench printed, or what ``fitcheck verify --json`` did."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from fitcheck.errors import BadInput, UnknownName
from fitcheck.footprint.stored import stored_as
from fitcheck.schema.calibration import Run, Shape
from fitcheck.schema.machine import KernelRate
from fitcheck.schema.request import Request
from fitcheck.sources.binary_file import LocalFile, exists
from fitcheck.sources.json_fields import NotJson, parse_json
from fitcheck.sources.llama_bench import BenchRow, bench_rows
from fitcheck.sources.resolve import resolve

_LONGEST = 4 << 20  # bytes; a test of llama-bench is about one thousand
VERIFICATION = "fitcheck.verification/1"

# A catalogue's shape and the file that was run are the same model where their
# sizes agree so well: other vocabularies and mixes differ by more.
_SAME_SIZE = 0.02


@dataclass(frozen=True, slots=True)
class Named:
    """What the person says of the runs, where the results don't."""

    model: str | None = None
    format: str | None = None


def runs_in(text: bytes, named: Named) -> tuple[Run, ...]:
    """Every run that the results hold. Raises BadInput."""
    verified = _verification(text)
    if verified is not None:
        return (_verified(verified, named),)
    return tuple(_benched(bench_rows(text), named))


def shape_of(model: str, format: str | None) -> Shape:
    """What was run, by name or file. Raises BadInput where its format isn't said."""
    found = resolve(model)
    if found.file is not None:
        return Shape(found.model, found.file.name, replace(found.file, notes=()))
    if not (format or found.format):
        raise BadInput(f"{model} says no weight format", "say which with --format Q4_K_M")
    return Shape(found.model, stored_as(found.model, format or found.format or "").format)


def _benched(rows: tuple[BenchRow, ...], named: Named) -> Iterator[Run]:
    for row in rows:
        request = Request(
            depth=row.depth,
            threads=row.threads,
            kv_type=row.kv_type,
            flash_attention=row.flash_attention,
            ubatch=row.ubatch,
        )
        yield Run(
            shape=_shape(row, named),
            request=request,
            engine="llama.cpp",
            device=row.device,
            tokens_per_s=median(row.tokens_per_s),
            source=f"llama-bench {row.build}" if row.build else "llama-bench",
            prompt=row.prompt,
        )


def _shape(row: BenchRow, named: Named) -> Shape:
    """The file that was run, where it still lies there; else the model of its name, if the size agrees."""
    if named.model is None and Path(row.file).is_file():
        return shape_of(str(Path(row.file).resolve()), None)
    text = named.model or Path(row.file.replace("\\", "/")).name.removesuffix(".gguf")
    try:
        shape = shape_of(text, named.format)
    except UnknownName as error:
        raise BadInput(
            f"{row.file} isn't here, and {error.message}", "say what was run: --model NAME"
        ) from error
    return _of_that_size(shape, row)


def _of_that_size(shape: Shape, row: BenchRow) -> Shape:
    expected = shape.file.tensor_bytes if shape.file else stored_as(shape.model, shape.format).weights_bytes
    if abs(row.model_bytes / expected - 1) > _SAME_SIZE:
        raise BadInput(
            f"llama-bench ran {row.model_bytes / 1e9:.2f} GB of weights, but {shape.model.name} in "
            f"{shape.format} has {expected / 1e9:.2f} GB",
            "say what was run: --model NAME --format FORMAT",
        )
    return shape


def _verification(text: bytes) -> dict[str, Any] | None:
    """The object of a verification; None for anything else."""
    try:
        value = parse_json(text)
    except NotJson:
        return None
    return value if isinstance(value, dict) and value.get("schema") == VERIFICATION else None


def _verified(value: dict[str, Any], named: Named) -> Run:
    """Decode speed with the bandwidth of its minute. Raises BadInput for a result that lacks a part."""
    try:
        request = Request(
            depth=_count(value["depth"]),
            threads=_count(value["threads"]),
            kv_type=str(value.get("kv_type", "f16")),
            flash_attention=value.get("flash_attention", "auto"),
        )
        speed, read = (
            _positive(value["measured_tokens_per_s"]),
            _positive(value["read_bandwidth_bytes_per_s"]),
        )
        file, model, form = value.get("file"), str(value["model"]), str(value["format"])
        core = _core(value.get("core"))
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"the verification lacks a usable part: {error}", "run fitcheck verify --json again"
        ) from error
    text = named.model or (file if isinstance(file, str) and Path(file).is_file() else model)
    engine = str(value.get("engine", "fitcheck"))
    return Run(
        shape_of(text, named.format or form),
        request,
        engine,
        "cpu",
        speed,
        "fitcheck verify",
        bandwidth_bytes_per_s=read,
        core=core,
    )


def _core(value: Any) -> KernelRate | None:
    """What a core did between the rounds; None of results that don't say."""
    if value is None:
        return None
    return KernelRate(str(value["format"]), str(value["isa"]), _positive(value["weights_per_s"]), "measured")


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 24:
        raise ValueError(f"{str(value)[:20]} is no count")
    return value


def _positive(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e18:
        raise ValueError(f"{str(value)[:20]} is no speed")
    return float(value)


def read_results(path: str) -> bytes:
    """A file of results, or stdin (``-``). Raises BadInput for what is none, and never waits on a pipe."""
    if path == "-":
        text = sys.stdin.buffer.read(_LONGEST + 1)
    elif not exists(Path(path).expanduser()):
        raise BadInput(f"{path} does not exist", "check the path, or give a model with --measured")
    else:
        with LocalFile(Path(path).expanduser()) as source:
            text = source.read(0, _LONGEST + 1)
    if not text.strip():
        raise BadInput(f"{'stdin' if path == '-' else path} is empty", "give what llama-bench -o json prints")
    if len(text) > _LONGEST:
        raise BadInput(f"{path} is too large to be results", "give what llama-bench -o json prints")
    return text
