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
    AltUp,
    Attention,
    ChannelMix,
    CompressedAttention,
    Experts,
    FeedForward,
    Ffn,
    GatedDeltaNet,
    Indexer,
    KimiDelta,
    LatentAttention,
    Layer,
    Mamba,
    Mamba2,
    Mixer,
    Model,
    PerLayerEmbedding,
    Rwkv6,
    Rwkv7,
    ShortConv,
)
from fitcheck.sources.profiles import Table, profile_path, read_toml, source_of, stems

MIXERS: dict[str, type[Mixer]] = {
    "attention": Attention,
    "latent_attention": LatentAttention,
    "compressed_attention": CompressedAttention,
    "mamba": Mamba,
    "mamba2": Mamba2,
    "gated_delta_net": GatedDeltaNet,
    "kimi_delta": KimiDelta,
    "short_conv": ShortConv,
    "rwkv6": Rwkv6,
    "rwkv7": Rwkv7,
}
FFNS: dict[str, type[Ffn]] = {"ffn": FeedForward, "experts": Experts, "channel_mix": ChannelMix}
NESTED: dict[str, type] = {"per_layer_embedding": PerLayerEmbedding, "altup": AltUp}

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
    prediction = table.pop("prediction", None)
    layers, kinds = _layers(table, mixers, ffns, (prediction[0], prediction[1]) if prediction else None)
    nested = {name: part(**table.pop(name)) for name, part in NESTED.items() if name in table}
    source = source_of(table)
    for kept in ("parameters_note", "source"):
        table.pop(kept, None)
    return Model(
        name=name,
        source=source,
        layers=layers,
        prediction=kinds[prediction[0], prediction[1]] if prediction else None,
        **nested,
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
            found[letter] = (*found.get(letter, ()), part(**_nested(fields)))
    if len(found.get(_WHOLE, ())) > 1 and kinds is MIXERS:
        raise ValueError("mixers that share their layers need a letter")
    return found


def _nested(fields: dict[str, Any]) -> dict[str, Any]:
    """A part's fields, with its indexer made one."""
    return fields | {"indexer": Indexer(**fields["indexer"])} if "indexer" in fields else fields


def _letters(given: Table) -> dict[str, dict[str, Any]]:
    """A part's fields under each letter: what is common, with what the letter changes.

    A letter is one character; longer names of tables are fields.
    """
    common = {name: value for name, value in given.items() if not _is_letter(name, value)}
    varied = {letter: common | own for letter, own in given.items() if _is_letter(letter, own)}
    return varied or {_WHOLE: common}


Letters = tuple[str, str]
"""A layer's two letters: of its mixer and of its feed-forward part."""


def _is_letter(name: str, value: object) -> bool:
    return len(name) == 1 and isinstance(value, dict)


def _layers(
    table: Table,
    mixers: dict[str, tuple[Mixer, ...]],
    ffns: dict[str, tuple[Ffn, ...]],
    prediction: Letters | None,
) -> tuple[tuple[Layer, ...], dict[Letters, Layer]]:
    """Every layer, and the kinds of them, so that users may cache by identity."""
    letters = _letters_by_layer(table, mixers, ffns)
    norms, scalars = table.pop("norms", 2), table.pop("extra_scalars", 0)
    kinds = {
        pair: Layer(
            ffns=ffns.get(pair[1], ()), norms=norms, extra_scalars=scalars, **_mixers(mixers.get(pair[0], ()))
        )
        for pair in {*letters, *([prediction] if prediction else [])}
    }
    return tuple(kinds[pair] for pair in letters), kinds


def _letters_by_layer(
    table: Table, mixers: dict[str, tuple[Mixer, ...]], ffns: dict[str, tuple[Ffn, ...]]
) -> list[Letters]:
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


def _mixers(parts: tuple[Mixer, ...]) -> dict[str, Mixer | None]:
    """A layer's mixer, and the one that runs beside it. Raises ValueError for a third."""
    if len(parts) > 2:
        raise ValueError("one letter stands for three mixers")
    return dict(zip(("mixer", "beside"), (*parts, None, None), strict=False))
