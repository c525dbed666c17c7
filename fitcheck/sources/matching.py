"""Find models and machines while a person types. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fitcheck.schema.model import Experts, Model
from fitcheck.sources.names import key


class Match(NamedTuple):
    """A name of the catalogue, with the other name that was recognised, if it was that."""

    name: str
    alias: str | None = None


def matches(
    text: str, names: Sequence[str], aliases: Iterable[tuple[str, str]] = (), first: Sequence[str] = ()
) -> list[Match]:
    """Names holding every word and number that was typed, those that begin so before the rest.

    ``first`` (favourites) stand before others that match as well. The last
    word may be half typed: ``lla 70`` finds llama-3.1-70b.
    """
    wanted = key(text)
    found = {name: (_rank(wanted, name), name not in first, Match(name)) for name in names}
    for name, alias in aliases:
        if (rank := _rank(wanted, alias)) < found.get(name, (_NONE,))[0]:
            found[name] = (rank, name not in first, Match(name, alias))
    hits = sorted((rank, later, match) for rank, later, match in found.values() if rank < _NONE)
    return [match for _, _, match in hits]


def said_of(model: Model) -> str:
    """All that a filter may name a model by: its name, architecture and kind."""
    experts = any(isinstance(ffn, Experts) for layer in model.layers for ffn in layer.ffns)
    kinds = ("moe" if experts else "dense", "ternary" if model.trained_ternary else "")
    return " ".join((model.name, model.architecture, *kinds))


_SAME, _BEGINS, _HOLDS, _NONE = range(4)


def _rank(wanted: tuple[str, ...], name: str) -> int:
    if not wanted:
        return _BEGINS
    words = key(name)
    if words == wanted:
        return _SAME
    if _begins(wanted, words):
        return _BEGINS
    *whole, last = wanted
    held = all(any(_same(part, word) for word in words) for part in whole)
    return _HOLDS if held and any(word.startswith(last) for word in words) else _NONE


def _same(part: str, word: str) -> bool:
    """Words may be cut short; a number that is followed by something is whole: ``4b`` is not 480b."""
    return word == part if part[0].isdigit() else word.startswith(part)


def _begins(wanted: tuple[str, ...], words: tuple[str, ...]) -> bool:
    *whole, last = wanted
    head = words[: len(whole)]
    return head == tuple(whole) and len(words) > len(whole) and words[len(whole)].startswith(last)
