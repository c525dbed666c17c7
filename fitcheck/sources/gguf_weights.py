"""A GGUF file's bytes by type and part, and how many of them a decoded token reads."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from math import prod

from fitcheck.schema.weights import FileWeights, Part
from fitcheck.sources.gguf_file import GgufFile
from fitcheck.sources.gguf_layout import Tensor
from fitcheck.sources.gguf_metadata import Metadata
from fitcheck.sources.gguf_types import BITNET_TYPES
from fitcheck.sources.weight_groups import ALL, NOTHING, Counted, Share, grouped

BLOCK = re.compile(r"blk\.(\d{1,9})\.(.+)", re.DOTALL)

TABLES = ("token_embd.", "per_layer_token_embd.", "position_embd.", "token_types.")

# Endings of tensors' names behind blk.N., most telling first (llama.cpp b11434, src/llama-arch.cpp).
_PARTS: tuple[tuple[re.Pattern[str], Part], ...] = (
    (re.compile(r"nextn\."), "prediction"),
    (re.compile(r".*\.scale"), "other"),
    (re.compile(r"\w*norm(_\w+)?\.|indexer\.\w*norm|time_mix_ln"), "norm"),
    (
        re.compile(
            r"ffn_\w+_(ch)?exps|ffn_(gate_inp|gate_tid2eid|latent|routed)|exp_probs_b|ffn_(gate|up|down)\.\d"
        ),
        "experts",
    ),
    (re.compile(r"ffn_|channel_mix_"), "ffn"),
    (re.compile(r"ssm_|shortconv\.|time_mix_"), "state"),
    (re.compile(r"attn_|indexer"), "attention"),
)
_OUTSIDE: tuple[tuple[tuple[str, ...], Part], ...] = (
    (TABLES, "embedding"),
    (("output.",), "output"),
    (("output_norm.", "token_embd_norm.", "per_layer_proj_norm."), "norm"),
    (("nextn.",), "prediction"),
)
# A delta net's tensors carry names of attention.
_DELTA_NET = ("attn_qkv.", "attn_gate.", "attn_q.", "attn_k.", "attn_v.", "attn_output.")
_KEYS_VALUES = ("attn_k.", "attn_v.", "attn_k_norm.")
_DELTA_GATES = (".ssm_ba.weight", ".ssm_beta.weight")

# general.file_type: llama.cpp b11434 include/llama.h enum llama_ftype; the numbers of dashes were dropped
_FILE_TYPES = """
F32 F16 Q4_0 Q4_1 - - - Q8_0 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K IQ2_XXS
IQ2_XS Q2_K_S IQ3_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ3_M IQ2_S IQ2_M IQ4_XS IQ1_M BF16 - - - TQ1_0 TQ2_0
MXFP4_MOE NVFP4 Q1_0 Q2_0
"""
MIXES = {number: name for number, name in enumerate(_FILE_TYPES.split()) if name != "-"}

# The experts of files from before April 2024, a tensor each.
_LONE_EXPERT = re.compile(r"blk\.\d+\.ffn_(gate|up|down)\.\d+\.")


def file_weights(gguf: GgufFile) -> FileWeights:
    """The file's own bytes, group by group. Raises BadInput for metadata of the wrong kind."""
    groups = grouped(_counted(gguf))
    return FileWeights(
        name=_mix(gguf),
        groups=groups,
        tensor_bytes=sum(group.bytes for group in groups),
        file_bytes=gguf.file_bytes,
        notes=gguf.notes,
        layers=_layers(gguf.tensors),
    )


def part_of(name: str, delta_net: bool = False) -> Part:
    """What a tensor is for, by its name."""
    block = BLOCK.fullmatch(name)
    if block is None:
        return next((part for starts, part in _OUTSIDE if name.startswith(starts)), "other")
    if delta_net and block[2].startswith(_DELTA_NET):
        return "state"
    return next((part for pattern, part in _PARTS if pattern.match(block[2])), "other")


def prediction_blocks(metadata: Metadata) -> range:
    """The numbers of the layers that only predict further tokens; they come last."""
    blocks = metadata.number("block_count") or 0
    return range(blocks - min(metadata.number("nextn_predict_layers") or 0, blocks), blocks)


def _counted(gguf: GgufFile) -> Iterator[Counted]:
    read = _Reads(gguf.tensors, Metadata(gguf.name, gguf.metadata))
    for tensor in gguf.tensors:
        part = read.part(tensor)
        yield Counted(tensor.type, part, tensor.weights, tensor.bytes, read.share(tensor, part))


def _layers(tensors: Iterable[Tensor]) -> tuple[tuple[int, int], ...]:
    """Bytes by layer; none where the layers' numbers have gaps, as no engine takes such a file."""
    found: dict[int, list[int]] = {}
    for tensor in tensors:
        if block := BLOCK.fullmatch(tensor.name):
            sizes = found.setdefault(int(block[1]), [0, 0])
            sizes["_exps." in block[2]] += tensor.bytes
    if set(found) != set(range(len(found))):
        return ()
    return tuple((found[layer][0], found[layer][1]) for layer in range(len(found)))


class _Reads:
    """How much of each tensor a decoded token reads."""

    def __init__(self, tensors: Iterable[Tensor], metadata: Metadata) -> None:
        names = {tensor.name for tensor in tensors}
        self._tied = "output.weight" not in names
        self._unread = prediction_blocks(metadata)
        shared = metadata.number("attention.shared_kv_layers") or 0
        self._borrowing = range(self._unread.start - min(shared, self._unread.start), self._unread.start)
        self._delta_nets = {
            name.split(".")[1] for name in names if name.endswith((".ssm_ba.weight", ".ssm_beta.weight"))
        }
        self._experts = metadata.number("expert_count") or 0
        self._active = metadata.number("expert_used_count") or 0

    def part(self, tensor: Tensor) -> Part:
        block = BLOCK.fullmatch(tensor.name)
        if block is not None and int(block[1]) in self._unread:
            return "prediction"
        return part_of(tensor.name, block is not None and block[1] in self._delta_nets)

    def _borrows(self, tensor: Tensor) -> bool:
        """Keys and values of a layer that uses another's: stored all the same (Gemma 3n, Gemma 4 E)."""
        block = BLOCK.fullmatch(tensor.name)
        return block is not None and int(block[1]) in self._borrowing and block[2].startswith(_KEYS_VALUES)

    def share(self, tensor: Tensor, part: Part) -> Share:
        """One row of a table that is looked up, active of all experts, nothing of what predicts, all else."""
        if part == "prediction" or self._borrows(tensor):
            return NOTHING
        table = part == "embedding" and not (self._tied and tensor.name == "token_embd.weight")
        if table or ".ffn_gate_tid2eid." in tensor.name:
            return 1, prod(tensor.shape[1:])
        if part == "experts" and self._experts and self._chosen(tensor):
            return min(self._active, self._experts) or self._experts, self._experts
        return ALL

    def _chosen(self, tensor: Tensor) -> bool:
        """Whether the tensor is of experts, rather than of the router that chooses among them."""
        stacked = len(tensor.shape) > 1 and tensor.shape[-1] == self._experts
        return _LONE_EXPERT.match(tensor.name) is not None or (stacked and "_exps." in tensor.name)


def _mix(gguf: GgufFile) -> str:
    """The mix by the file's own word, else the type of most matrices, as llama.cpp guesses it.

    bitnet.cpp's numbers of mixes mean others, so that its types speak for themselves.
    """
    matrices = Counter(tensor.type for tensor in gguf.tensors if len(tensor.shape) > 1)
    usual = max(matrices, key=lambda type_: matrices[type_], default="none")
    number = gguf.metadata.get("general.file_type")
    said = MIXES.get(number) if isinstance(number, int) else None
    return usual if said is None or usual in BITNET_TYPES else said
