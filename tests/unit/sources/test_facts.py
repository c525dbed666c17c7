"""The catalogue beside the collected shapes, where these lie beside the checkout."""

import json
from pathlib import Path

import pytest

from fitcheck.errors import FitcheckError
from fitcheck.schema.model import Attention, Model
from fitcheck.sources.resolve import resolve_model

FACTS = Path(__file__).resolve().parents[4] / "shared" / "facts" / "models.json"


def _found(name: str) -> Model | None:
    try:
        return resolve_model(name)
    except FitcheckError:
        return None


@pytest.mark.skipif(not FACTS.is_file(), reason="the collected shapes are not beside this checkout")
def test_shapes_agree_with_the_collected_ones() -> None:
    agreed = 0
    for fact in json.loads(FACTS.read_text(encoding="utf-8")):
        if (model := _found(fact["name"])) is None:
            continue
        assert model.hidden_size == fact["hidden_size"], fact["name"]
        assert len(model.layers) == fact["n_layers"], fact["name"]
        assert fact["vocab_size"] in {model.vocab_size, None}, fact["name"]
        heads = {layer.mixer.heads for layer in model.layers if isinstance(layer.mixer, Attention)}
        assert fact["n_heads"] is None or heads <= {fact["n_heads"]}, fact["name"]
        agreed += 1
    assert agreed >= 70
