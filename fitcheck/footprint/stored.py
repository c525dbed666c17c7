"""Weights as they are stored: in a format worked out from the shape, or in a file that was read."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from fitcheck.footprint.mix import Format
from fitcheck.footprint.mixes import FORMATS, find_format, formats_on
from fitcheck.footprint.mlx import mlx_notes
from fitcheck.footprint.reads import PER_PROMPT, ReadGroup, tally
from fitcheck.footprint.tensors import layout
from fitcheck.schema.model import Model
from fitcheck.schema.weights import FileWeights, WeightGroup


class Stored(NamedTuple):
    """What there is to judge: its bytes, what a token reads of them, and who runs it."""

    format: str
    weights_bytes: int
    groups: tuple[ReadGroup, ...]
    engines: tuple[str, ...]
    ternary: bool
    arches: tuple[str, ...] = ()  # processors its kernels are written for; empty: any
    notes: tuple[str, ...] = ()
    expert_bytes: int = 0  # of the stacked experts, of which a token reads a few
    expert_bytes_read: int = 0
    table_bytes: int = 0  # of the embedding tables, which may lie in RAM where all layers are on cards
    file: FileWeights | None = None


def stored_in_each(model: Model, *, apple: bool = False) -> tuple[Stored, ...]:
    """A model in all formats of such a machine.

    A mix for experts is, without experts, another by a second name.
    """
    experts = layout(model).facts.experts > 0
    listed = formats_on(apple=apple)
    return tuple(stored_as(model, name) for name in listed if experts or FORMATS[name].stacks is None)


@lru_cache(maxsize=256)
def stored_as(model: Model, format_name: str) -> Stored:
    """A model in a format. Raises UnknownName."""
    form = find_format(format_name)
    found = tally(model, form.name)
    return Stored(
        form.name,
        found.bytes,
        found.groups,
        form.engines,
        form.ternary,
        form.arches,
        mlx_notes(model) if form.family == "mlx" else (),
        found.expert_bytes,
        found.expert_bytes_read,
        found.table_bytes,
    )


def stored_in(weights: FileWeights) -> Stored:
    """A real file, by its own tensor table."""
    form = FORMATS.get(weights.name) or _packing(weights.name)
    chosen = [group for group in weights.groups if group.part == "experts" and group.bytes_read < group.bytes]
    return Stored(
        weights.name,
        weights.tensor_bytes,
        _read(weights.groups),
        form.engines,
        form.ternary,
        form.arches,
        weights.notes,
        sum(group.bytes for group in chosen),
        sum(group.bytes_read for group in chosen),
        sum(group.bytes for group in weights.groups if group.part == "embedding"),
        weights,
    )


# Packings that only checkpoints have, by how their names begin. vLLM: "Supported hardware for quantization
# kernels" and "BitsAndBytes" in its documentation; transformers: "Quantization" in its own.
_PACKINGS: Mapping[str, tuple[str, ...]] = {
    "GPTQ": ("vllm", "exllamav2"),
    "AWQ": ("vllm",),
    "EXL2": ("exllamav2",),
    "EXL3": ("exllamav3",),
    "INT": ("vllm", "transformers"),
    "FP": ("vllm", "transformers"),
    "NF4": ("transformers", "vllm"),
    "BitNet": ("transformers",),
    "MLX": ("mlx",),
}
# A mix that no rule makes, such as one with types chosen tensor by tensor.
_UNKNOWN = Format("", "", "")


def _packing(name: str) -> Format:
    """Who runs a checkpoint's packing; of all else, llama.cpp."""
    found = next((engines for start, engines in _PACKINGS.items() if name.startswith(start)), None)
    return Format("", "", "", engines=found) if found else _UNKNOWN


def _read(groups: Iterable[WeightGroup]) -> tuple[ReadGroup, ...]:
    found: dict[str, list[int]] = {}
    for group in groups:
        sums = found.setdefault(group.type, [0, 0, 0, 0, 0, 0])
        sums[0] += group.bytes_read
        sums[1] += group.weights_read
        sums[2] += group.tensors if group.part not in ("embedding", "norm", "prediction") else 0
        if group.part not in PER_PROMPT:
            sums[3] += group.weights_read
            sums[4] += group.bytes if group.bytes_read else 0
        sums[5] += group.bytes_read if group.part == "experts" and group.bytes_read < group.bytes else 0
    return tuple(ReadGroup(name, *sums) for name, sums in found.items())
