"""The graph that compute buffers are replayed from can be built for every model there is."""

import pytest

from fitcheck.footprint.graph import widest_part
from fitcheck.sources.catalog import load_model
from fitcheck.sources.profiles import stems


@pytest.mark.parametrize("name", stems("models"))
def test_each_models_widest_part_holds_more_than_a_row_a_token(name: str) -> None:
    """Each part of each model runs by itself, as it does for a card's share of the buffers."""
    model = load_model(name)
    assert widest_part(model) > model.hidden_size
