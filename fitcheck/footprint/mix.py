"""What a format says of a model's tensors: a default type, and rules by role and layer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Condition = Literal[
    "always",
    "gqa4",  # four query heads or more for one KV head
    "gqa4 or moe",  # ... or four experts or more
    "8 experts",  # exactly eight, as in Mixtral
    "first 2",
    "first 4",
    "first sixteenth",
    "first eighth",
    "middle",  # between the first and the last eighth
    "more bits",  # first and last eighth, and every third between
    "more bits of 8 experts",  # both of these
]
Rule = tuple[tuple[Condition, str], ...]
"""Types by condition; the first that holds wins, and else the mix's default."""

Family = Literal["gguf", "bitnet.cpp", "fitcheck", "gptq", "awq", "nvfp4", "int8", "exl2", "mlx"]


@dataclass(frozen=True, slots=True)
class Format:
    """One way to store a model. ``default`` goes to every matrix that no rule names."""

    name: str
    description: str
    default: str
    output: str = "Q6_K"  # of output.weight, or of the embedding when tied
    token_embd: str | None = None  # of an embedding of its own; None: the default
    rules: Mapping[str, Rule] = field(default_factory=dict)
    family: Family = "gguf"
    engines: tuple[str, ...] = ("llama.cpp",)
    ternary: bool = False  # faithful only to weights trained as -1, 0, +1
    low_bit: bool = False  # one of the mixes that follow llama.cpp's rules of their own
    stacks: str | None = None  # type of the stacked matrices of experts, where it differs
    vectors: str = "F32"  # of norms, biases and tables
    arches: tuple[str, ...] = ()  # processors its kernels are written for; empty: any
    listed: Literal["anywhere", "apple", "by name"] = "anywhere"  # where a plan of all formats has it
