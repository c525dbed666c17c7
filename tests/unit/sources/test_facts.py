"""The catalogue beside shapes that were collected apart from it: ``collected_shapes.csv``, with sources."""

import csv
from pathlib import Path

from fitcheck.errors import FitcheckError
from fitcheck.schema.model import Attention, Model
from fitcheck.sources.resolve import resolve_model

FACTS = Path(__file__).parent / "collected_shapes.csv"


def _facts() -> list[dict[str, str]]:
    with FACTS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _found(name: str) -> Model | None:
    try:
        return resolve_model(name)
    except FitcheckError:
        return None


def test_shapes_agree_with_the_collected_ones() -> None:
    agreed = 0
    for fact in _facts():
        if (model := _found(fact["name"])) is None:
            continue
        assert str(model.hidden_size) == fact["hidden_size"], fact["name"]
        assert str(len(model.layers)) == fact["n_layers"], fact["name"]
        assert fact["vocab_size"] in {str(model.vocab_size), ""}, fact["name"]
        heads = {layer.mixer.heads for layer in model.layers if isinstance(layer.mixer, Attention)}
        assert not fact["n_heads"] or {str(count) for count in heads} <= {fact["n_heads"]}, fact["name"]
        agreed += 1
    assert agreed >= 70
