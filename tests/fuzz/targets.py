"""What is fuzzed: one function a reader. Bytes in; any exception but BadInput is a finding."""

from fitcheck.errors import BadInput
from fitcheck.footprint.tensors import layout
from fitcheck.footprint.tensors import parameters as parameters_of
from fitcheck.sources.binary_file import MemorySource
from fitcheck.sources.gguf_file import parse_gguf
from fitcheck.sources.gguf_model import model_of
from fitcheck.sources.gguf_weights import file_weights
from fitcheck.sources.hf_config import model_from_config
from fitcheck.sources.json_fields import fields_of
from fitcheck.sources.safetensors_file import Checkpoint
from fitcheck.sources.safetensors_header import read_tensors
from fitcheck.sources.safetensors_weights import checkpoint_weights, parameters


def gguf(data: bytes) -> str:
    """Reads a GGUF file as far as it goes; returns how far."""
    try:
        read = parse_gguf(data)
        assert all(0 < tensor.offset + tensor.bytes <= len(data) for tensor in read.tensors)
        weights = file_weights(read)
        assert weights.tensor_bytes <= weights.file_bytes == len(data)
        assert all(0 <= group.bytes_read <= group.bytes for group in weights.groups)
        layout(model_of(read))
    except BadInput as error:
        return _one_clear_line(error)
    return "a model"


def safetensors(data: bytes) -> str:
    """Reads a safetensors file, and counts what is packed in it."""
    try:
        tensors = read_tensors(MemorySource("model.safetensors", data))
    except BadInput as error:
        return _one_clear_line(error)
    checkpoint = Checkpoint("model.safetensors", tensors, len(data), 1)
    weights = checkpoint_weights(checkpoint)
    assert weights.tensor_bytes <= len(data)
    assert sum(group.weights for group in weights.groups) == parameters(checkpoint) >= 0
    return "a model"


def config(data: bytes) -> str:
    """Reads a Hugging Face config, and sizes what it describes."""
    try:
        model = model_from_config(fields_of(data, "config.json"), "config.json")
        assert parameters_of(model) > 0
        assert layout(model).state_elements >= 0
    except BadInput as error:
        return _one_clear_line(error)
    return "a model"


def _one_clear_line(error: BadInput) -> str:
    assert error.message.isprintable(), error.message
    assert len(error.message) < 400, error.message
    assert error.remedy
    return error.message
