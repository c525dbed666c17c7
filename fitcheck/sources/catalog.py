"""Profile TOML -> Model: the compact tables of ``profiles/models`` spelled out.

A profile has a table for each part a layer can have (``[attention]``,
``[mamba2]``, ``[ffn]``, ``[experts]`` …). Where layers differ, subtables named
by a letter change or complete the part (``[attention.W]``), and a pattern has
one letter a layer: ``mixers`` for the token mixers, ``ffns`` for the feed-forward
parts, or ``blocks`` where each layer is one part alone. What stands in brackets
repeats until all layers have their letter: ``DDD(E)``, ``(WWWWWF)``.
"""

import re
from typing import Any, TypeVar

from fitcheck.errors import BadInput
from fitcheck.schema.model import (
    Attention,
    Experts,
    FeedForward,
    Ffn,
    GatedDeltaNet,
    LatentAttention,
    Layer,
    Mamba,
    Mamba2,
    Mixer,
    Model,
    PerLayerEmbedding,
    ShortConv,
)
from fitcheck.sources.profiles import Table, profile_path, read_toml, source_of, stems

MIXERS: dict[str, type[Mixer]] = {
    "attention": Attention,
    "latent_attention": LatentAttention,
    "mamba": Mamba,
    "mamba2": Mamba2,
    "gated_delta_net": GatedDeltaNet,
    "short_conv": ShortConv,
}
FFNS: dict[str, type[Ffn]] = {"ffn": FeedForward, "experts": Experts}

_PATTERN = re.compile(r"([^()]*)(?:\(([^()]+)\))?")
_WHOLE = "."  # the letter of a part that no subtable varies

Part = TypeVar("Part", bound=Mixer | Ffn)


def load_model(stem: str) -> Model:
    """The catalogue's model of that name. Raises BadInput, naming the file, where it is faulty."""
    table = read_toml(profile_path("models", stem))
    try:
        return model_from_table(stem, table)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"profiles/models/{stem}.toml is faulty: {error}", "mend the file") from error


def load_models() -> tuple[Model, ...]:
    """Every model of the catalogue, by name."""
    return tuple(load_model(stem) for stem in stems("models"))


def model_from_table(name: str, table: Table) -> Model:
    """A profile's table spelled out. Raises KeyError, TypeError or ValueError where it doesn't add up.

    The table is used up, so that a key nobody read is found.
    """
    mixers = _variants(table, MIXERS)
    ffns = _variants(table, FFNS)
    layers = _layers(table, mixers, ffns)
    embedding = table.pop("per_layer_embedding", None)
    source = source_of(table)
    for kept in ("parameters_note", "source"):
        table.pop(kept, None)
    return Model(
        name=name,
        source=source,
        layers=layers,
        per_layer_embedding=PerLayerEmbedding(**embedding) if embedding else None,
        aliases=tuple(table.pop("aliases", ())),
        context_max=table.pop("context_max", None),
        **table,
    )


def expand(pattern: str, count: int) -> str:
    """One letter for each of ``count`` layers. Raises ValueError where it comes out longer or shorter."""
    match = _PATTERN.fullmatch(pattern)
    if match is None:
        raise ValueError(f"{pattern!r} is no pattern of layers")
    head, cycle = match[1], match[2] or ""
    letters = head + cycle * -(-max(count - len(head), 0) // len(cycle)) if cycle else head
    if len(letters) < count or len(head) > count:
        raise ValueError(f"{pattern!r} has {len(letters)} letters for {count} layers")
    return letters[:count]


def _variants(table: Table, kinds: dict[str, type[Part]]) -> dict[str, tuple[Part, ...]]:
    """Letter -> the parts it stands for. A part without letters stands under ``_WHOLE``."""
    found: dict[str, tuple[Part, ...]] = {}
    for kind, part in kinds.items():
        if (given := table.pop(kind, None)) is None:
            continue
        for letter, fields in _letters(given).items():
            found[letter] = (*found.get(letter, ()), part(**fields))
    return found


def _letters(given: Table) -> dict[str, dict[str, Any]]:
    """A part's fields under each letter: what is common, with what the letter changes."""
    common = {name: value for name, value in given.items() if not isinstance(value, dict)}
    varied = {letter: common | own for letter, own in given.items() if isinstance(own, dict)}
    return varied or {_WHOLE: common}


def _layers(
    table: Table, mixers: dict[str, tuple[Mixer, ...]], ffns: dict[str, tuple[Ffn, ...]]
) -> tuple[Layer, ...]:
    """Every layer. Layers of the same letters are one object, so that users may cache by identity."""
    letters = _letters_by_layer(table, mixers, ffns)
    norms, scalars = table.pop("norms", 2), table.pop("extra_scalars", 0)
    kinds = {
        (mixer, ffn): Layer(_only(mixers.get(mixer, ())), ffns.get(ffn, ()), norms, scalars)
        for mixer, ffn in set(letters)
    }
    return tuple(kinds[pair] for pair in letters)


def _letters_by_layer(
    table: Table, mixers: dict[str, tuple[Mixer, ...]], ffns: dict[str, tuple[Ffn, ...]]
) -> list[tuple[str, str]]:
    """Each layer's mixer letter and feed-forward letter. Raises ValueError for a letter without a part."""
    count = table.pop("layers")
    if blocks := table.pop("blocks", None):
        pairs = [(letter, letter) for letter in expand(blocks, count)]
        known = {(letter, letter) for letter in mixers | ffns}
    else:
        mixer_letters = expand(table.pop("mixers", f"({_WHOLE})"), count)
        ffn_letters = expand(table.pop("ffns", f"({_WHOLE})"), count)
        pairs = list(zip(mixer_letters, ffn_letters, strict=True))
        known = {(mixer, ffn) for mixer in mixers for ffn in ffns}
    if stray := set(pairs) - known:
        raise ValueError(f"no part has the letters {sorted(stray)}")
    return pairs


def _only(parts: tuple[Mixer, ...]) -> Mixer | None:
    """A layer's one mixer. Raises ValueError where a letter stands for two."""
    if len(parts) > 1:
        raise ValueError("one letter stands for two mixers")
    return parts[0] if parts else None
