from hypothesis import given
from hypothesis import strategies as st

from fitcheck.footprint.tensors import active_parameters, layout, parameters, tensors
from fitcheck.schema.model import Attention, Experts, FeedForward, Layer, Model

MODELS = st.from_type(Model)


def group(model, name):
    return next(g for g in tensors(model) if g.tensor.name == name)


def with_experts(**experts):
    layer = Layer(Attention(16, 4, 128), (Experts(64, 8, 512, **experts),))
    return Model("experts", "test", "qwen3moe", 2048, 1000, (layer,) * 4, False, None)


def test_equal_layers_are_one_group_a_tensor(llama_70b):
    assert len(tensors(llama_70b)) == 4 + 7 + 1  # outside, matrices, norms
    assert group(llama_70b, "attn_q.weight").layers == tuple(range(80))


def test_a_step_reads_one_row_of_an_embedding_unless_it_is_the_output_too(make_llama):
    assert group(make_llama(2), "token_embd.weight").tensor.weights_read == 8192
    tied = make_llama(2, name="tied", tied_embeddings=True)
    assert group(tied, "token_embd.weight").tensor.weights_read == 8192 * 128256


def test_a_step_reads_the_active_experts():
    tensor = group(with_experts(), "ffn_up_exps.weight").tensor
    assert tensor.weights_read * 64 == tensor.weights * 8


def test_layers_that_differ_share_what_is_equal():
    windowed = Layer(Attention(8, 4, 256, window=1024), (FeedForward(4096),))
    full = Layer(Attention(8, 4, 256), (FeedForward(4096),))
    model = Model("mixed", "test", "gemma3", 2048, 1000, (windowed, windowed, full), True, None)
    assert group(model, "attn_v.weight").ordinals == (0, 1, 2)
    assert len(layout(model).caches) == 2


def test_layers_that_borrow_a_cache_have_keys_and_values_nobody_reads():
    lender = Layer(Attention(8, 2, 256), (FeedForward(4096),))
    borrower = Layer(Attention(8, 2, 256, owns_kv=False), (FeedForward(4096),))
    model = Model("shared", "test", "gemma4", 2048, 1000, (lender, borrower), True, None)
    kept, borrowed = [g for g in tensors(model) if g.tensor.name == "attn_k.weight"]
    assert (kept.layers, borrowed.layers) == ((0,), (1,))
    assert (kept.tensor.rows_read, borrowed.tensor.rows_read) == (512, 0)
    assert group(model, "attn_q.weight").layers == (0, 1)


def test_prediction_layers_are_stored_but_not_read(make_llama):
    plain, more = make_llama(4), make_llama(4, name="more", nextn_layers=1)
    extra = [g for g in tensors(more) if g.unused]
    assert "nextn.eh_proj.weight" in {g.tensor.name for g in extra}
    assert parameters(more) == parameters(plain)
    assert all(set(g.layers) == {4} for g in extra)


def test_ordinals_of_experts_are_layer_numbers_after_dense_layers():
    dense = Layer(Attention(16, 4, 128), (FeedForward(4096),))
    sparse = Layer(Attention(16, 4, 128), (Experts(64, 8, 512, shared_size=512),))
    model = Model("led", "test", "deepseek2", 2048, 1000, (dense, sparse, sparse), False, None)
    assert group(model, "ffn_down_exps.weight").ordinals == (1, 2)
    assert group(model, "ffn_down_exps.weight").counters == (1, 3)
    assert group(model, "ffn_down_shexp.weight").counters == (2, 4)


@given(MODELS)
def test_active_parameters_are_some_of_all_and_in_dense_models_all(model):
    assert layout(model) is layout(model), "kept for the model"
    assert 0 < active_parameters(model) <= parameters(model)
    borrowed = any(isinstance(m := layer.mixer, Attention) and not m.owns_kv for layer in model.layers)
    if not borrowed and not any(isinstance(ffn, Experts) for layer in model.layers for ffn in layer.ffns):
        assert active_parameters(model) == parameters(model)
