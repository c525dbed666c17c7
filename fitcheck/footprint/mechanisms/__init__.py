"""What each mechanism of a layer stores, and what running it takes in the compute buffer.

One module a kind and one registration a mechanism, and nothing else knows it.
Stored are tensors, and a cache or a state; names and shapes are those of the
GGUF file (llama.cpp b11434, load_arch_tensors in src/models/*.cpp). Run, it
takes and gives back tensors in the order of its graph there
(src/llama-graph.cpp, src/models/*.cpp). Views take nothing. An operation that
ggml runs in place (ggml_op_can_inplace) takes nothing either, unless its
source is a view: so the first norm or rotation after a reshape does.
"""

from fitcheck.footprint.mechanisms import attention, compressed, delta, ffn, latent, mamba, rwkv
from fitcheck.footprint.mechanisms.parts import (
    Cache,
    Mechanism,
    Part,
    Tensor,
    describe,
    half,
    matrix,
    project,
    run,
    small,
    stacked,
    states_first,
)

REGISTERED = (attention, compressed, delta, ffn, latent, mamba, rwkv)  # importing a module registers

__all__ = [
    "REGISTERED",
    "Cache",
    "Mechanism",
    "Part",
    "Tensor",
    "describe",
    "half",
    "matrix",
    "project",
    "run",
    "small",
    "stacked",
    "states_first",
]
