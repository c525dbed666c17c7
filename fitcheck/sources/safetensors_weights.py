"""A checkpoint's bytes by type and part, and how many of them a decoded token reads."""

import re
from collections.abc import Iterator

from fitcheck.schema.model import Experts, Model
from fitcheck.schema.weights import FileWeights, Part
from fitcheck.sources.packed_weights import count_weights
from fitcheck.sources.safetensors_file import Checkpoint
from fitcheck.sources.safetensors_header import DTYPES, StoredTensor
from fitcheck.sources.weight_groups import ALL, NOTHING, Counted, Share, grouped

# Names as transformers has them, most telling first.
_PARTS: tuple[tuple[re.Pattern[str], Part], ...] = (
    (re.compile(r"(^|\.)mtp[._]"), "prediction"),
    (re.compile(r"(^|\.)(vision|visual|audio|image|speech|multi_modal_projector|mm_projector)"), "other"),
    (
        re.compile(r"(^|\.)(embed_tokens|embed_tokens_per_layer|wte|word_embeddings|tok_embeddings)\."),
        "embedding",
    ),
    (re.compile(r"(^|\.)(lm_head|embed_out)\.|^output\."), "output"),
    (
        re.compile(
            r"\.experts\.|\.switch_mlp\.|\.(gate|router|shared_expert_gate)\.|\.router_|e_score_correction"
        ),
        "experts",
    ),
    (re.compile(r"norm\w*\.(weight|bias)$|\.ln_\w+\."), "norm"),
    (re.compile(r"\.(linear_attn|mamba|mixer|conv|ssm)\b"), "state"),
    (re.compile(r"attn|attention"), "attention"),
    (re.compile(r"mlp|feed_forward|ffn|shared_expert"), "ffn"),
)


def checkpoint_weights(checkpoint: Checkpoint, model: Model | None = None) -> FileWeights:
    """The checkpoint's own bytes, group by group.

    ``model``, from the config beside it, says how many experts a token takes and
    whether the output is the embedding table; without it every expert counts as read.
    """
    groups = grouped(_counted(checkpoint, _active_share(model)))
    packed = [group for group in groups if group.type not in DTYPES and group.weights]
    largest = max(packed or groups, key=lambda group: group.bytes, default=None)
    return FileWeights(
        name=largest.type if largest else "none",
        groups=groups,
        tensor_bytes=sum(group.bytes for group in groups),
        file_bytes=checkpoint.file_bytes,
        notes=() if packed else (_TO_CONVERT,),
    )


_TO_CONVERT = "llama.cpp runs a checkpoint once convert_hf_to_gguf.py has made a GGUF file of it"


def _counted(checkpoint: Checkpoint, active: Share) -> Iterator[Counted]:
    counted = count_weights(checkpoint.tensors, checkpoint.quantization)
    tied = not any(part_of(tensor.name) == "output" for tensor in checkpoint.tensors)
    for tensor in checkpoint.tensors:
        weights, type_ = counted[tensor.name]
        part = part_of(tensor.name)
        yield Counted(type_, part, weights, tensor.bytes, _read(tensor, part, tied, active))


def parameters(checkpoint: Checkpoint) -> int:
    """Weights of all tensors, packed ones unpacked; vision and multi-token prediction included."""
    counted = count_weights(checkpoint.tensors, checkpoint.quantization)
    return sum(weights for weights, _ in counted.values())


def part_of(name: str) -> Part:
    """What a tensor is for, by its name."""
    return next((part for pattern, part in _PARTS if pattern.search(name)), "other")


def _active_share(model: Model | None) -> Share:
    ffns = [ffn for layer in model.layers for ffn in layer.ffns] if model else []
    experts = next((ffn for ffn in ffns if isinstance(ffn, Experts)), None)
    return (experts.active, experts.count) if experts and experts.count else ALL


def _read(tensor: StoredTensor, part: Part, tied: bool, active: Share) -> Share:
    """One row of a table that is looked up, active experts, nothing of what predicts, all else."""
    if part == "prediction":
        return NOTHING
    if part == "embedding" and not (tied and "embed_tokens_per_layer" not in tensor.name):
        return 1, max(tensor.shape[0], 1) if tensor.shape else 1
    return active if ".experts." in tensor.name or ".switch_mlp." in tensor.name else ALL
