"""A Hugging Face ``config.json`` -> Model.

One entry a family, in hf_dense.py, hf_experts.py, hf_latent.py, hf_hybrid.py,
hf_older.py, hf_own_names.py and hf_recent.py. What a config leaves out is
filled in as transformers does; what a family does that fitcheck doesn't know
is an error, never a guess. Tensors and windows are those that llama.cpp makes
of the model (conversion/*.py and src/models/*.cpp, b11434).
"""

from pathlib import Path
from typing import Any

from fitcheck.errors import BadInput
from fitcheck.footprint.formats import WEIGHT_TYPES, mlx_name
from fitcheck.schema.model import Model
from fitcheck.sources import hf_dense, hf_experts, hf_hybrid, hf_latent, hf_older, hf_own_names, hf_recent
from fitcheck.sources.hf_parts import Family, rotated_in_tables
from fitcheck.sources.json_fields import Fields, read_fields

FAMILIES: dict[str, Family] = {
    **hf_dense.FAMILIES,
    **hf_experts.FAMILIES,
    **hf_hybrid.FAMILIES,
    **hf_latent.FAMILIES,
    **hf_older.FAMILIES,
    **hf_own_names.FAMILIES,
    **hf_recent.FAMILIES,
}
"""``model_type`` -> how it is read."""


_LANGUAGE = ("text_config", "llm_config", "language_config", "lm_config")


def load_config(text: str) -> Model:
    """The model of a config file, a directory that holds one, or ``-`` for stdin. Raises BadInput."""
    outer = read_fields(text)
    return model_from_config(outer, _name(text, outer))


def load_config_and_format(text: str) -> tuple[Model, str | None]:
    """Like ``load_config``, with the MLX format that the config says its weights have."""
    outer = read_fields(text)
    return model_from_config(outer, _name(text, outer)), _mlx_format(outer)


def _mlx_format(config: Fields) -> str | None:
    """From ``quantization``, which mlx_lm writes; None where it is no format of ours."""
    said = config.inner("quantization")
    if (mode := said.text("mode") or "affine") != "affine":
        name = f"MLX-{mode.upper()}"
    else:
        bits, group = said.maybe_count("bits"), said.maybe_count("group_size")
        name = mlx_name(bits, group or 64) if bits else ""
    return name if name in WEIGHT_TYPES else None


def model_from_config(outer: Fields, name: str) -> Model:
    """The language model that a config describes. Raises BadInput where it is unclear.

    Models that also see or hear keep the language model's fields in an object of their own.
    """
    fields = next((inner for name in _LANGUAGE if (inner := outer.inner(name)).table), outer)
    kind = fields.text("model_type") or outer.text("model_type")
    if (family := FAMILIES.get(kind)) is None:
        raise _unknown(outer, kind)
    fields = family.fields(fields)
    found: dict[str, Any] = {
        "name": name,
        "source": outer.where,
        "architecture": family.architecture or kind,
        "hidden_size": fields.count("hidden_size"),
        "vocab_size": fields.count("vocab_size"),
        "layers": family.layers(fields),
        "tied_embeddings": fields.flag("tie_word_embeddings", outer.flag("tie_word_embeddings", family.tied)),
        "context_max": fields.maybe_count("max_position_embeddings"),
        "rope_freqs": rotated_in_tables(fields),
    }
    return Model(**found | family.more(fields))


def _unknown(outer: Fields, kind: str) -> BadInput:
    """A kind of model that no family reads; a GGUF file of it needs no config."""
    if not kind:
        return outer.wrong("has no model_type, so it is no config of a language model")
    import difflib  # noqa: PLC0415  (3 ms that nothing else needs)

    near = difflib.get_close_matches(kind, FAMILIES, 3)
    known = f" ({len(FAMILIES)} others are{', such as ' + ', '.join(near) if near else ''})"
    remedy = "give a GGUF file of the model, which is read by its own tensors"
    return BadInput(f"{outer.where}: model_type {kind[:40]!r} is not known{known}", remedy)


def _name(text: str, fields: Fields) -> str:
    """What to call it: the path it says it came from, else the directory or file it lies in."""
    if said := fields.text("_name_or_path").rstrip("/"):
        return said.rsplit("/", 1)[-1]
    if text == "-":
        return "stdin"
    path = Path(text).expanduser().resolve()
    return path.parent.name if path.name == "config.json" else path.stem if path.is_file() else path.name
