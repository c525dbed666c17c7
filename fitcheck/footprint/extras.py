"""What some families add to every layer, or beside the layers, whatever mechanisms these have."""

from collections.abc import Iterator

from fitcheck.footprint.mechanisms import Tensor, half, matrix, small
from fitcheck.schema.model import AltUp, Model


def outside(model: Model) -> Iterator[Tensor]:
    """Tensors beside the layers, less the embedding, the output and its norm."""
    hidden = model.hidden_size
    if model.rope_freqs:
        yield small("rope_freqs.weight", "other", model.rope_freqs)
    if model.residual_scores:
        yield small("output_res_score.weight", "other", hidden)
    if model.hyper_connections:
        yield from _hyper_connection("output_hc", model.hyper_connections, model.hyper_connections, 1, hidden)
    if model.altup is not None:
        for name in ("altup_proj", "altup_unembd_proj"):
            yield half(name, "other", hidden, hidden, model.altup.inputs - 1)
    yield from _per_layer_tables(model)


def of_layer(model: Model) -> Iterator[Tensor]:
    """Tensors that each layer has besides its parts' and its norms."""
    hidden = model.hidden_size
    if model.residual_scores:
        yield small("attn_res_score.weight", "attention", hidden)
        yield small("ffn_res_score.weight", "ffn", hidden)
    if model.hyper_connections:
        streams = model.hyper_connections
        for name in ("hc_attn", "hc_ffn"):
            yield from _hyper_connection(name, streams, (2 + streams) * streams, 3, hidden)
    if model.altup is not None:
        yield from _altup(model.altup, hidden)
    if model.per_layer_embedding is not None:
        slice_size = model.per_layer_embedding.size
        yield matrix("inp_gate", "other", hidden, slice_size)
        yield matrix("proj", "other", slice_size, hidden)
        yield small("post_norm.weight", "norm", hidden)


def _per_layer_tables(model: Model) -> Iterator[Tensor]:
    """Gemma's second table; its projection keeps the 16 bits of the source in every mix."""
    if model.per_layer_embedding is None:
        return
    slice_size = model.per_layer_embedding.size
    width = slice_size * len(model.layers)
    table = matrix("per_layer_token_embd", "embedding", width, model.per_layer_embedding.vocab_size)
    yield table._replace(rows_read=1)
    yield half("per_layer_model_proj", "other", model.hidden_size, width)
    yield small("per_layer_proj_norm.weight", "norm", slice_size)


def _hyper_connection(name: str, streams: int, mixes: int, scales: int, hidden: int) -> Iterator[Tensor]:
    """What mixes the hidden states before and after a part."""
    yield matrix(name + "_fn", "other", streams * hidden, mixes)
    yield small(name + "_base.weight", "other", mixes)
    yield small(name + "_scale.weight", "other", scales)


def _altup(a: AltUp, hidden: int) -> Iterator[Tensor]:
    """Coefficients and the residual, none of which is quantized (names with altup or laurel)."""
    yield small("altup_correct_coef.weight", "other", a.inputs, a.inputs)
    yield small("altup_predict_coef.weight", "other", a.inputs, a.inputs * a.inputs)
    yield small("altup_correct_scale.weight", "other", hidden)
    yield small("altup_router_norm.weight", "norm", hidden)
    yield half("altup_router", "other", hidden, a.inputs)
    yield half("laurel_l", "other", hidden, a.residual_rank)
    yield half("laurel_r", "other", a.residual_rank, hidden)
    yield small("laurel_post_norm.weight", "norm", hidden)
