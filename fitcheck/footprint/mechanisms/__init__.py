"""What each mechanism of a layer stores: its tensors, and its cache or state.

One registered function a mechanism, and nothing else knows it: attention.py
holds those that cache every token, state.py those that keep a state instead,
ffn.py the feed-forward blocks. Names and shapes are those of the GGUF file
(llama.cpp b11434, load_arch_tensors in src/models/*.cpp).
"""

from fitcheck.footprint.mechanisms import attention, ffn, state
from fitcheck.footprint.mechanisms.parts import (
    Cache,
    Mechanism,
    Part,
    Tensor,
    describe,
    half,
    matrix,
    small,
    stacked,
)

REGISTERED = (attention, ffn, state)  # importing a module registers its mechanisms

__all__ = [
    "REGISTERED",
    "Cache",
    "Mechanism",
    "Part",
    "Tensor",
    "describe",
    "half",
    "matrix",
    "small",
    "stacked",
]
