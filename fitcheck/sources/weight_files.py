"""What was typed -> a real file's Model and bytes: a GGUF file, a checkpoint, or one on a server."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from fitcheck.errors import BadInput
from fitcheck.schema.model import Model
from fitcheck.schema.weights import FileWeights
from fitcheck.sources.binary_file import LocalFile, exists, is_directory, shown
from fitcheck.sources.gguf_file import GgufFile, read_gguf
from fitcheck.sources.gguf_header import MAGIC
from fitcheck.sources.gguf_model import model_of
from fitcheck.sources.gguf_weights import file_weights
from fitcheck.sources.local_stores import models_in


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A model and the bytes of its own file, which no mix need be assumed for."""

    model: Model
    weights: FileWeights


def load_gguf(text: str) -> WeightFile:
    """A GGUF file on this machine. Raises BadInput."""
    path = _path(text)
    return _of(read_gguf(path), str(path))


def load_folder(text: str) -> WeightFile:
    """The one GGUF model that lies in a directory. Raises BadInput where there are more."""
    first, *others = models_in(_path(text))
    if others:
        raise BadInput(
            f"{text} holds {len(others) + 1} GGUF models",
            f"name one of them, for example {shown(str(first))}",
        )
    return load_gguf(str(first))


def load_remote(text: str) -> WeightFile:
    """A GGUF file on a server, by its header alone. Raises BadInput or Unreachable."""
    from fitcheck.sources.remote import read_remote  # noqa: PLC0415  (names of models don't need it)

    return _of(read_remote(text, os.environ), text)


def load_checkpoint(text: str) -> WeightFile:
    """A checkpoint in safetensors with its config.json. Raises BadInput."""
    from fitcheck.sources.hf_config import load_config  # noqa: PLC0415  (GGUF files don't need them)
    from fitcheck.sources.safetensors_file import read_checkpoint  # noqa: PLC0415
    from fitcheck.sources.safetensors_weights import checkpoint_weights, parameters  # noqa: PLC0415

    path = _path(text)
    checkpoint = read_checkpoint(path)
    model = load_config(str(path if path.is_dir() else path.parent))
    return WeightFile(
        replace(model, parameters=parameters(checkpoint)), checkpoint_weights(checkpoint, model)
    )


def _of(file: GgufFile, source: str) -> WeightFile:
    return WeightFile(replace(model_of(file), source=source), file_weights(file))


def is_remote(text: str) -> bool:
    """A URL, or the short form of one."""
    return text.startswith(("http://", "https://", "hf:"))


def is_gguf(text: str) -> bool:
    """A name that ends so, or a path to a file that begins so: Ollama's have no ending."""
    return text.lower().endswith(".gguf") or (_is_path(text) and _begins(_path(text), MAGIC))


def is_folder(text: str) -> bool:
    """A path to a directory of GGUF models, with no config.json that says what it is."""
    path = _path(text)
    if not _is_path(text) or not is_directory(path) or exists(path / "config.json"):
        return False
    return bool(models_in(path))


def is_checkpoint(text: str) -> bool:
    """A safetensors file, an index, or a path to a directory that holds them."""
    from fitcheck.sources.safetensors_file import is_checkpoint as is_one  # noqa: PLC0415

    return (_is_path(text) or text.endswith((".safetensors", ".json"))) and is_one(_path(text))


def _is_path(text: str) -> bool:
    """No bare word is taken for a file, whatever lies in the working directory."""
    return "/" in text or os.sep in text


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # the home of a user who doesn't exist
        return Path(text)


def _begins(path: Path, magic: bytes) -> bool:
    try:
        with LocalFile(path) as source:
            return source.read(0, len(magic)) == magic
    except BadInput:
        return False


LOADERS: tuple[tuple[Callable[[str], bool], Callable[[str], WeightFile]], ...] = (
    (is_remote, load_remote),
    (is_gguf, load_gguf),
    (is_checkpoint, load_checkpoint),
    (is_folder, load_folder),
)
"""Ways to read a real file, in the order to try them. A bare config.json is none of them."""
