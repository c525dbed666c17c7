"""What the user typed -> Model: a file, a size, a name, an Ollama tag, a repository."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from fitcheck.errors import UnknownName
from fitcheck.schema.model import Model
from fitcheck.schema.weights import FileWeights
from fitcheck.sources import names
from fitcheck.sources.catalog import load_model
from fitcheck.sources.profiles import profiles_directory, read_toml


@dataclass(frozen=True, slots=True)
class Resolution:
    """A Model, how it was found, and its weights where they were read."""

    model: Model
    resolved_from: str | None = None  # what was typed, where it isn't the model's name
    format: str | None = None  # a weight format the name carried: ``qwen3:32b-q4_K_M``
    reason: str | None = None  # why a bare size stands for this model
    file: FileWeights | None = None  # what a file of weights holds, where one was named

    @property
    def formats(self) -> tuple[str, ...]:
        """What to judge where nobody asked for a format: the one in the name, or all (none named)."""
        return (self.format,) if self.format else ()

    def in_formats(self, asked: tuple[str, ...]) -> "Resolution":
        """The same where formats were asked for: then the shape is judged in them, not the file."""
        return replace(self, file=None) if asked else self


_FILE_ENDINGS = (".gguf", ".safetensors", ".json")
_SIZE = re.compile(r"\d+(?:\.\d+)?b", re.IGNORECASE)
_FORMAT = re.compile(
    r"[-_:. ](?:ud-)?((?:i?q|tq)\d\w*|b?fp?16|fp?32|mxfp4\w*|i2_s|tl[12]|trit[35])$", re.IGNORECASE
)
# Endings that say how weights were trained or packed, never another shape.
_ENDING = re.compile(
    r"[-_:. ](?:instruct|chat|it|base|pt|hf|latest|gguf|ggml|i1|mlx|awq|gptq|exl[23]|qat|fp8|nvfp4"
    r"|bnb|int[48]|[2-8]-?bit)$",
    re.IGNORECASE,
)
# Such words also stand amid a name: ``Mistral-7B-Instruct-v0.3``.
_MIDDLE = re.compile(r"[-_](?:instruct|chat|it)(?=[-_])", re.IGNORECASE)


def resolve_model(text: str) -> Model:
    """The Model that the text names. Raises UnknownName or BadInput, as ``resolve`` does."""
    return resolve(text).model


def resolve(text: str) -> Resolution:
    """The Model that the text names, and how.

    Raises UnknownName, with the three nearest names, where no model goes by that
    name, and BadInput where the text is no name or the file can't be used.
    """
    if text in (".", ".."):
        text += "/"  # what a directory is, and no name
    found = _from_file(text) if _may_be_a_file(text) else None
    return found or _from_catalogue(names.checked(text, "models"))


def _may_be_a_file(text: str) -> bool:
    """Whether to look at all: opening files costs more than a name may take."""
    return text == "-" or "/" in text or text.startswith("hf:") or text.lower().endswith(_FILE_ENDINGS)


def _from_file(text: str) -> Resolution | None:
    """A file's own weights, or the shape that a config.json tells."""
    from fitcheck.sources.weight_files import LOADERS  # noqa: PLC0415 (names need none of it)

    for matches, load in LOADERS:
        if text != "-" and matches(text):
            file = load(text)
            return Resolution(file.model, text, file=file.weights)
    return _from_config(text) if _is_config(text) else None


def _from_catalogue(text: str) -> Resolution:
    tried = spellings(text.rsplit("/", 1)[-1])
    for spelling, format in tried.items():
        if _SIZE.fullmatch(spelling) and (size := sizes().get(spelling.lower())):
            return Resolution(load_model(size["model"]), text, format, size["reason"])
    found = names.find("models", tried)
    if found is None:
        if _exists(text):
            raise UnknownName(f"no model is called {text!r}", f"to read what lies there, write ./{text}")
        raise names.unknown("models", text)
    stem, spelling = found
    return Resolution(load_model(stem), None if text == stem else text, tried[spelling])


def sizes() -> dict[str, dict[str, str]]:
    """``70b`` -> the model that such a size stands for, and the reason."""
    return read_toml(profiles_directory() / "sizes.toml")


def spellings(name: str) -> dict[str, str | None]:
    """Ways to write the name, longest first, each beside the format that was cut off it."""
    found: dict[str, str | None] = {name: None}
    format = None
    while ending := _FORMAT.search(name) or _ENDING.search(name):
        format = format or (ending[1] if ending.re is _FORMAT else None)
        name = name[: ending.start()]
        found[name] = format
    found.setdefault(_MIDDLE.sub("", name), format)
    return found


def _from_config(text: str) -> Resolution:
    from fitcheck.sources.hf_config import load_config_and_format  # noqa: PLC0415 (3 ms that names don't need)

    model, format = load_config_and_format(text)
    return Resolution(model, text, format)


def _is_config(text: str) -> bool:
    """``-``, a JSON file, or a path with a slash in it that exists: no bare word is taken for a file."""
    if text == "-" or text.lower().endswith(".json"):
        return True
    return "/" in text and _exists(text)


def _exists(text: str) -> bool:
    try:
        return Path(text).expanduser().exists()
    except (OSError, ValueError):  # a name too long for the system, or a null byte in it
        return False
