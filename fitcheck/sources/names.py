"""Match what people type with the names of profiles: loosely, never wrongly.

Two spellings are the same name when they have the same words and numbers in
the same order. ``llama3.1:70b``, ``Llama-3.1-70B`` and ``llama 3.1 70b`` are;
``qwen3-1.7b`` and ``qwen3-17b`` are not.
"""

import re
from collections.abc import Iterable, Iterator

from fitcheck.errors import BadInput, UnknownName
from fitcheck.sources.profiles import profile_path, stems

Key = tuple[str, ...]
"""A name's words and numbers, lower case: ``("qwen", "3", "1.7", "b")``."""

_TOKEN = re.compile(r"\d+(?:\.\d+)?|[a-z]+|\+")
_ALIASES = re.compile(rb"^aliases = \[(.*?)\]", re.MULTILINE | re.DOTALL)
_QUOTED = re.compile(r'"([^"]*)"')
_LONGEST = 200  # characters; no name is longer, and matching time stays bounded


def key(text: str) -> Key:
    """The words and numbers of a name. ``4.0`` is ``4``: publishers write both."""
    return tuple(token.removesuffix(".0") for token in _TOKEN.findall(text.lower()))


def checked(text: str, kind: str) -> str:
    """The name without outer blanks. Raises BadInput where it can't be one."""
    name = text.strip()
    if not name or len(name) > _LONGEST or not name.isprintable():
        raise BadInput(f"{text[:40]!r} can't be a name", f"see: fitcheck {kind}")
    return name


def find(kind: str, spellings: Iterable[str]) -> tuple[str, str] | None:
    """The profile that one of the spellings names, with that spelling; else None.

    The first spelling that fits counts. File names come before aliases: they
    need one directory listing, aliases a look into every file. Raises
    UnknownName where an alias has two owners.
    """
    wanted = [(key(spelling), spelling) for spelling in spellings]
    by_key = {key(stem): stem for stem in stems(kind)}
    for spelled, spelling in wanted:
        if stem := by_key.get(spelled):
            return stem, spelling
    return _find_alias(kind, dict(wanted))


def _find_alias(kind: str, wanted: dict[Key, str]) -> tuple[str, str] | None:
    owners = {stem: wanted[key(alias)] for stem, alias in aliases(kind) if key(alias) in wanted}
    if len(owners) > 1:
        spelling = next(iter(owners.values()))
        raise UnknownName(f"{spelling!r} may mean several {kind}", f"say which: {', '.join(owners)}")
    return next(iter(owners.items()), None)


def aliases(kind: str) -> Iterator[tuple[str, str]]:
    """Each profile's name with each of its aliases.

    Only the ``aliases`` line is looked at: parsing some hundred whole files
    would take longer than the rest of the answer.
    """
    for stem in stems(kind):
        found = _ALIASES.search(profile_path(kind, stem).read_bytes())
        for alias in _QUOTED.findall(found[1].decode()) if found else ():
            yield stem, alias


def unknown(kind: str, text: str) -> UnknownName:
    """The error for a name nobody bears, with the three nearest in its remedy."""
    return UnknownName(
        f"no {kind.removesuffix('s')} is called {text!r}",
        f"did you mean {', '.join(nearest(stems(kind), text))}? see: fitcheck {kind}",
    )


def nearest(names: Iterable[str], text: str, count: int = 3) -> list[str]:
    """The ``count`` of the names that look most like the text, best first."""
    from difflib import SequenceMatcher  # noqa: PLC0415  (2 ms that only a mistyped name needs)

    matcher = SequenceMatcher(b="-".join(key(text)) or text.lower())

    def unlikeness(stem: str) -> float:
        matcher.set_seq1("-".join(key(stem)))
        return -matcher.ratio()

    return sorted(names, key=unlikeness)[:count]
