"""Checkpoints in safetensors: one file, or the many that an index or a directory joins."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fitcheck.errors import BadInput
from fitcheck.sources.binary_file import LocalFile, exists, shown
from fitcheck.sources.json_fields import NotJson, parse_json
from fitcheck.sources.safetensors_header import StoredTensor, read_tensors

INDEX = ".safetensors.index.json"
LARGEST_TEXT = 1 << 24  # an index of 90 000 tensors has 9 MB

_PART = re.compile(r"(.*)-\d{5}-of-(\d{5})\.safetensors", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model's tensors as its publisher stored them."""

    name: str
    tensors: tuple[StoredTensor, ...]
    file_bytes: int
    files: int
    quantization: Mapping[str, Any] = field(default_factory=dict)  # what config.json says of it


def read_checkpoint(path: Path) -> Checkpoint:
    """A model from a file, an index or a directory. Raises BadInput for whatever can't be used.

    Only headers are read: parameters and bytes are exact, weights stay on disk.
    """
    paths = _files(path)
    tensors: list[StoredTensor] = []
    size = 0
    for part in paths:
        with LocalFile(part) as source:
            tensors += read_tensors(source)
            size += source.size
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise BadInput(
            f"{_name(path)}: two of its files hold the same tensor", "keep one model in a directory"
        )
    return Checkpoint(_name(path), tuple(tensors), size, len(paths), _quantization(paths[0].parent))


def is_checkpoint(path: Path) -> bool:
    """Whether the path names such a checkpoint: by its ending, or by what its directory holds."""
    return path.name.endswith((".safetensors", INDEX)) or any(_listed(path, "*.safetensors"))


def _name(path: Path) -> str:
    return shown(path.name or str(path))


def _files(path: Path) -> list[Path]:
    if path.name.endswith(INDEX):
        return _indexed(path)
    if path.name.endswith(".safetensors") and not path.is_dir():
        return _complete(path, [path])
    if indexes := _listed(path, f"*{INDEX}"):
        return _indexed(indexes[0])
    found = _listed(path, "model*.safetensors") or _listed(path, "*.safetensors")
    found = [file for file in found if not file.name.startswith("adapter_")]
    if not found:
        raise BadInput(
            f"{_name(path)} holds no model in safetensors", "give a directory with the model's files"
        )
    return _complete(path, found)


def _listed(path: Path, pattern: str) -> list[Path]:
    try:
        return sorted(path.glob(pattern)) if path.is_dir() else []
    except (OSError, ValueError):
        return []


def _indexed(index: Path) -> list[Path]:
    """The files that an index names, all in its own directory."""
    table = _json(index)
    places = table.get("weight_map") if isinstance(table, dict) else None
    if not isinstance(places, dict) or not places:
        raise BadInput(f"{_name(index)} has no weight_map", "give the index that its publisher ships")
    names = sorted({name if isinstance(name, str) else "" for name in places.values()})
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise BadInput(
                f"{_name(index)} names '{shown(name)}', which is no file beside it",
                "give the index that its publisher ships",
            )
    return _all_there(index, [index.with_name(name) for name in names])


def _complete(path: Path, found: list[Path]) -> list[Path]:
    """The files, or all parts of a model where one of them is a part."""
    match = _PART.fullmatch(found[0].name)
    if match is None:
        return found
    count = int(match[2])
    names = [f"{match[1]}-{part:05}-of-{match[2]}.safetensors" for part in range(1, count + 1)]
    return _all_there(path, [found[0].with_name(name) for name in names])


def _all_there(path: Path, files: list[Path]) -> list[Path]:
    missing = [file.name for file in files if not exists(file)]
    if missing:
        listed = ", ".join(map(shown, missing[:3])) + (f" and {len(missing) - 3} more" if missing[3:] else "")
        raise BadInput(
            f"{_name(path)}: {len(missing)} of {len(files)} files are missing: {listed}",
            "download them into the same directory",
        )
    return files


def _json(path: Path) -> Any:
    with LocalFile(path) as source:
        if source.size > LARGEST_TEXT:
            raise BadInput(f"{source.name} is too large for an index", "give the model's own file")
        try:
            return parse_json(source.read(0, source.size))
        except NotJson as error:
            raise BadInput(f"{source.name} isn't sound JSON: {error}", "download it again") from None


def _quantization(directory: Path) -> Mapping[str, Any]:
    """What config.json says of packing, if it is there and says anything."""
    path = directory / "config.json"
    if not exists(path):
        return {}
    table = _json(path)
    found = table.get("quantization_config") or table.get("quantization") if isinstance(table, dict) else None
    return MappingProxyType(found) if isinstance(found, dict) else {}
