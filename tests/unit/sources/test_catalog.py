"""Spelling compact profiles out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitcheck.errors import BadInput
from fitcheck.schema.model import Attention, Experts, FeedForward, Indexer, Layer, Mamba2
from fitcheck.sources import catalog
from fitcheck.sources.catalog import expand, load_model, model_from_table

ATTENTION = {"heads": 4, "kv_heads": 2, "head_dim": 8}
MAMBA2 = {"heads": 2, "head_dim": 8, "state_size": 4, "groups": 1, "conv_kernel": 4}


def table(**more: object) -> dict[str, object]:
    """The least a profile holds, and more."""
    least = {
        "architecture": "llama",
        "hidden_size": 32,
        "vocab_size": 100,
        "layers": 4,
        "tied_embeddings": True,
        "source": "a test",
        "attention": dict(ATTENTION),
        "ffn": {"size": 64},
    }
    return least | more


@pytest.mark.parametrize(
    ("pattern", "count", "letters"),
    [
        ("(E)", 3, "EEE"),
        ("DDD(E)", 5, "DDDEE"),
        ("(WWF)", 7, "WWFWWFW"),
        ("MEM*", 4, "MEM*"),
        ("AB(C)", 2, "AB"),
    ],
)
def test_expand(pattern: str, count: int, letters: str) -> None:
    assert expand(pattern, count) == letters


@pytest.mark.parametrize(
    ("pattern", "count"), [("MEM", 4), ("MEMEM", 4), ("DDDD(E)", 3), ("", 1), ("(", 1), ("()", 1)]
)
def test_expand_rejects_what_does_not_fit(pattern: str, count: int) -> None:
    with pytest.raises(ValueError, match=r"letters|no pattern"):
        expand(pattern, count)


@given(st.text("AB", max_size=5), st.text("CD", min_size=1, max_size=5), st.integers(5, 200))
def test_expand_gives_a_letter_a_layer(head: str, cycle: str, count: int) -> None:
    letters = expand(f"{head}({cycle})", count)
    assert len(letters) == count
    assert letters.startswith(head)
    assert all(letter == cycle[i % len(cycle)] for i, letter in enumerate(letters[len(head) :]))


def test_layers_of_the_same_letters_are_one_object() -> None:
    model = model_from_table("m", table())
    assert all(layer is model.layers[0] for layer in model.layers)


def test_letters_change_what_is_common() -> None:
    varied = ATTENTION | {"W": {"window": 16}, "F": {"head_dim": 16}}
    model = model_from_table("m", table(mixers="(WF)", attention=varied))
    near, full = (layer.mixer for layer in model.layers[:2])
    assert near == Attention(4, 2, 8, window=16)
    assert full == Attention(4, 2, 16)


def test_mixers_and_ffns_vary_apart() -> None:
    experts = {"E": {"count": 8, "active": 2, "size": 16}}
    varied = ATTENTION | {"W": {"window": 16}, "F": {}}
    given = table(mixers="(WWF)", ffns="D(E)", attention=varied, ffn={"D": {"size": 64}}, experts=experts)
    kinds = [(layer.mixer.window, type(layer.ffns[0])) for layer in model_from_table("m", given).layers]
    assert kinds == [(16, FeedForward), (16, Experts), (None, Experts), (16, Experts)]


def test_blocks_hold_one_part_each() -> None:
    mamba = dict(MAMBA2)
    given = table(blocks="MFMA", mamba2={"M": mamba}, attention={"A": ATTENTION}, ffn={"F": {"size": 64}})
    layers = model_from_table("m", given).layers
    assert [type(layer.mixer) for layer in layers] == [Mamba2, type(None), Mamba2, Attention]
    assert [len(layer.ffns) for layer in layers] == [0, 1, 0, 0]


def test_dense_and_experts_side_by_side() -> None:
    given = table(experts={"count": 8, "active": 2, "size": 16})
    assert [type(ffn) for ffn in model_from_table("m", given).layers[0].ffns] == [FeedForward, Experts]


def test_two_mixers_of_a_letter_run_beside_each_other() -> None:
    given = table(mixers="(H)", attention={"H": ATTENTION}, mamba2={"H": MAMBA2})
    layer = model_from_table("m", given).layers[0]
    assert (type(layer.mixer), type(layer.beside)) == (Attention, Mamba2)


def test_an_indexer_is_a_part_of_its_mixer() -> None:
    given = table(attention=ATTENTION | {"indexer": {"heads": 4, "head_dim": 16}})
    assert model_from_table("m", given).layers[0].mixer == Attention(4, 2, 8, indexer=Indexer(4, 16))


def test_prediction_layers_may_be_of_a_kind_of_their_own() -> None:
    varied = {"attention": ATTENTION | {"W": {"window": 16}, "F": {}}, "ffn": {"D": {"size": 64}}}
    model = model_from_table("m", table(mixers="(F)", ffns="(D)", prediction="WD", nextn_layers=1, **varied))
    assert model.prediction == Layer(Attention(4, 2, 8, window=16), (FeedForward(64),))
    assert model.prediction not in model.layers


@pytest.mark.parametrize(
    "wrong",
    [
        {"colour": "red"},
        {"mixers": "(X)"},
        {"mixers": "WW", "attention": ATTENTION | {"W": {}}},
        {"attention": ATTENTION | {"heds": 4}},
        {"attention": {"heads": 4}},
        {"mamba": {"inner_size": 64, "state_size": 4, "conv_kernel": 4, "dt_rank": 2}},
        {"source": None},
    ],
)
def test_faulty_profiles_are_one_clear_error(
    wrong: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "read_toml", lambda path: table(**wrong))
    with pytest.raises(BadInput, match=r"profiles/models/m\.toml is faulty"):
        load_model("m")
