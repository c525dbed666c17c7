"""A Request: what the user wants of a model on a machine."""

from dataclasses import dataclass
from typing import Literal

FlashAttention = Literal["auto", "on", "off"]


@dataclass(frozen=True)
class Request:
    """``None`` leaves the choice to the planner or to the engine's own default."""

    context: int | None = None  # cells wanted, over all slots
    kv_type: str = "f16"
    batch: int = 1  # sequences that decode together, each at the depth asked for
    ubatch: int = 512
    slots: int = 1
    depth: int = 0  # tokens already in the cache when decode speed is asked for
    prompt: int | None = None  # tokens before the first answer; None: the whole context
    flash_attention: FlashAttention = "auto"
    engine: str | None = None
    formats: tuple[str, ...] = ()  # empty: every format
    threads: int | None = None
    reserve_bytes: int | None = None  # kept for the operating system
    gpu_layers: int | None = None  # None: as many as is fastest; llama.cpp counts the output as one
    cpu_moe_layers: int | None = None  # layers whose experts stay in RAM; None: as few as need be
    mmap: bool = True  # weights mapped from the file, where the engine can
    repack: bool = True  # weights rearranged for the CPU, where the engine does
    speculate: int = 0  # tokens a draft guesses before the model checks them in one pass
    accept: float = 0.7  # the share of them that is taken, each after those before it
    draft_bytes: int = 0  # the draft's weights; 0: guessed from the text, at no cost
