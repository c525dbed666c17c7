"""Models that other programs keep on this machine: Ollama, LM Studio, Jan, llama.cpp, Hugging Face.

Only names and paths are found here, and only what can be read without asking:
a folder that isn't there, or that is another user's, has no models.
"""

import os
import re
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from fitcheck.errors import BadInput
from fitcheck.sources.binary_file import LocalFile, exists, shown
from fitcheck.sources.json_fields import NotJson, parse_json

DEEPEST, MOST_ENTRIES = 6, 20_000
"""Folders below a store's root, and entries of one store: links that lead in circles end there."""

LARGEST_MANIFEST = 1 << 20

_LATER_PART = re.compile(r"-(?!00001)\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model's file and what its program calls it. Of a split model, the first part."""

    name: str
    path: Path
    store: str


def local_models(environment: Mapping[str, str] | None = None, home: Path | None = None) -> list[LocalModel]:
    """All models found, store by store, each file once. Never raises for what it can't read."""
    environment = os.environ if environment is None else environment
    home = home or Path(environment.get("USERPROFILE") or environment.get("HOME") or Path.home())
    found = [*_ollama(environment, home), *_folders(environment, home)]
    once = {_identity(model.path): model for model in reversed(found)}
    return sorted(once.values(), key=lambda model: (model.store, model.name.lower()))


def _identity(path: Path) -> object:
    """The file behind links: stores share files so."""
    try:
        status = path.stat()
    except OSError:
        return path
    return status.st_dev, status.st_ino


def _folders(environment: Mapping[str, str], home: Path) -> Iterator[LocalModel]:
    """Stores that are folders of GGUF files."""
    for store, roots in _roots(environment, home).items():
        for root in roots:
            for path in _gguf_files(root):
                yield LocalModel(_name(path.relative_to(root)), path, store)


def _roots(environment: Mapping[str, str], home: Path) -> dict[str, list[Path]]:
    """Where each program keeps models: as configured, then its defaults.

    LM Studio: lmstudio.ai/docs/basics/import-model, and the folder of versions before 0.3.
    Jan: the data folder of v0.6 and later, and of earlier ones. llama.cpp: fs_get_cache_directory
    in common/common.cpp. Hugging Face: huggingface_hub/constants.py.
    """
    cache = Path(environment.get("XDG_CACHE_HOME") or home / ".cache")
    caches = home / "Library" / "Caches" if sys.platform == "darwin" else cache
    hub = environment.get("HF_HUB_CACHE") or Path(environment.get("HF_HOME") or cache / "huggingface") / "hub"
    return {
        "LM Studio": [home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models"],
        "Jan": [data / "llamacpp" / "models" for data in _jan_data(environment, home)]
        + [home / "jan" / "models"],
        "llama.cpp": [Path(environment.get("LLAMA_CACHE") or caches / "llama.cpp")],
        "Hugging Face": [Path(hub)],
    }


def _jan_data(environment: Mapping[str, str], home: Path) -> list[Path]:
    """Jan's data folder on each system."""
    share = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")
    parents = [share, home / "Library" / "Application Support"]
    parents += [Path(environment["APPDATA"])] if environment.get("APPDATA") else []
    return [parent / "Jan" / "data" for parent in parents]


def _name(path: Path) -> str:
    """``publisher/model/file`` without its ending; Jan calls every file model.gguf."""
    parts = [part for part in path.with_suffix("").parts if part not in ("snapshots", "blobs")]
    if parts[-1] == "model" and len(parts) > 1:
        parts.pop()
    if parts[0].startswith("models--"):  # the hub's cache: models--owner--repository/snapshots/revision/file
        parts[:2] = parts[0].removeprefix("models--").split("--")
    return shown("/".join(parts), 120)


def _gguf_files(root: Path) -> list[Path]:
    """GGUF files below a folder: models, not projectors, and of split ones the first part."""
    return [path for path in _walk(root) if _is_model(path)]


def models_in(folder: Path) -> list[Path]:
    """GGUF models that lie in a folder itself; of a split one the first part."""
    names = sorted(path for path, is_folder in _entries(folder) if not is_folder)
    return [path for path in names if _is_model(path)]


def _is_model(path: Path) -> bool:
    ending, name = path.suffix.lower(), path.name
    return ending == ".gguf" and not name.startswith("mmproj") and not _LATER_PART.search(name)


def _walk(root: Path) -> list[Path]:
    """Files below a folder, so far as they can be listed; each folder once, however links lead to it."""
    found: list[Path] = []
    waiting, seen = deque([(root, 0)]), 0
    visited = {_identity(root)}
    while waiting and seen < MOST_ENTRIES:
        folder, depth = waiting.popleft()
        for path, is_folder in _entries(folder):
            seen += 1
            if not is_folder:
                found.append(path)
            elif depth < DEEPEST and (identity := _identity(path)) not in visited:
                visited.add(identity)
                waiting.append((path, depth + 1))
    return sorted(found)


def _entries(folder: Path) -> list[tuple[Path, bool]]:
    """What a folder holds, and whether it is a folder itself."""
    try:
        with os.scandir(folder) as entries:
            return [(Path(entry.path), _is_folder(entry)) for entry in islice(entries, MOST_ENTRIES)]
    except (OSError, ValueError):
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads back to itself
        return False


def _ollama(environment: Mapping[str, str], home: Path) -> Iterator[LocalModel]:
    """Ollama's manifests name the blob that is the model (server/manifest.go, types/model/name.go)."""
    for root in _ollama_roots(environment, home):
        manifests = root / "manifests"
        for path in _walk(manifests):
            blob = _model_blob(path)
            if blob and exists(root / "blobs" / blob):
                yield LocalModel(_tag(path.relative_to(manifests)), root / "blobs" / blob, "Ollama")


def _ollama_roots(environment: Mapping[str, str], home: Path) -> list[Path]:
    """As configured, or the user's own and that of Linux's system service."""
    if configured := environment.get("OLLAMA_MODELS"):
        return [Path(configured)]
    return [home / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models")]


def _tag(path: Path) -> str:
    """``registry.ollama.ai/library/llama3.1/70b`` as people type it: ``llama3.1:70b``."""
    *names, tag = path.parts
    for default in ("registry.ollama.ai", "library"):
        if len(names) > 1 and names[0] == default:
            names = names[1:]
    return shown(f"{'/'.join(names)}:{tag}", 120)


def _model_blob(manifest: Path) -> str | None:
    """The file name of the blob with the weights, or None where the manifest has none."""
    try:
        with LocalFile(manifest) as source:
            table = parse_json(source.read(0, min(source.size, LARGEST_MANIFEST)))
    except (BadInput, NotJson):
        return None
    layers = table.get("layers") if isinstance(table, dict) else None
    for layer in layers if isinstance(layers, list) else []:
        match layer:
            case {"mediaType": "application/vnd.ollama.image.model", "digest": str(digest)}:
                return _blob_name(digest)
    return None


def _blob_name(digest: str) -> str | None:
    match = re.fullmatch(r"sha256[:-]([0-9a-f]{64})", digest)
    return f"sha256-{match[1]}" if match else None
