"""One layer of a GGUF file as its header gives it: shapes of tensors by name, and sizes from metadata."""

from collections.abc import Iterator
from dataclasses import dataclass

from fitcheck.sources.gguf_metadata import Metadata

Shapes = dict[str, tuple[int, ...]]
"""Shapes by name, columns first; a layer's names are without ``blk.N.``."""


@dataclass(frozen=True, slots=True)
class Block:
    """What metadata says of one layer."""

    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int
    window: int | None
    owns_kv: bool
    experts_active: int
    kv_lora_rank: int
    key_length_mla: int
    value_length_mla: int
    ssm_inner: int
    ssm_state: int
    ssm_heads: int  # time_step_rank: Mamba 1's rank, the heads of all others
    ssm_groups: int
    wkv_head: int
    output_groups: int

    @classmethod
    def all(
        cls, metadata: Metadata, layers: int, hidden: int, windows: list[int | None]
    ) -> Iterator["Block"]:
        """One for each layer."""
        heads = metadata.by_layer("attention.head_count", layers)
        kv_heads = metadata.by_layer("attention.head_count_kv", layers, default=-1)
        own = layers - (metadata.number("attention.shared_kv_layers") or 0)
        dims = _HeadSizes.read(metadata, hidden, heads[0] if heads else 0)
        common = _common(metadata)
        for number in range(layers):
            window = windows[number]
            yield cls(
                hidden=hidden,
                heads=heads[number],
                kv_heads=heads[number] if kv_heads[number] < 0 else kv_heads[number],
                head_dim=dims.key if window is None else dims.key_window,
                value_dim=dims.value if window is None else dims.value_window,
                window=window,
                owns_kv=number < own,
                **common,
            )


@dataclass(frozen=True, slots=True)
class _HeadSizes:
    """Elements of a head's keys and values, where the whole context is seen and where a window is."""

    key: int
    value: int
    key_window: int
    value_window: int

    @classmethod
    def read(cls, metadata: Metadata, hidden: int, heads: int) -> "_HeadSizes":
        default = hidden // heads if heads else 0
        key = metadata.need("attention.key_length", default)
        value = metadata.need("attention.value_length", default)
        return cls(
            key=key,
            value=value,
            key_window=metadata.need("attention.key_length_swa", key),
            value_window=metadata.need("attention.value_length_swa", value),
        )


_COMMON = {
    "experts_active": "expert_used_count",
    "kv_lora_rank": "attention.kv_lora_rank",
    "key_length_mla": "attention.key_length_mla",
    "value_length_mla": "attention.value_length_mla",
    "ssm_inner": "ssm.inner_size",
    "ssm_state": "ssm.state_size",
    "ssm_heads": "ssm.time_step_rank",
    "ssm_groups": "ssm.group_count",
    "wkv_head": "wkv.head_size",
    "output_groups": "attention.output_group_count",
}


def _common(metadata: Metadata) -> dict[str, int]:
    return {field: metadata.number(key) or 0 for field, key in _COMMON.items()}


def columns(shapes: Shapes, name: str) -> int:
    """A tensor's columns; 0 where it isn't there."""
    return dimension(shapes, name, 0)


def rows(shapes: Shapes, name: str) -> int:
    """A tensor's rows; 0 where it has none or isn't there."""
    return dimension(shapes, name, 1)


def dimension(shapes: Shapes, name: str, index: int) -> int:
    """A tensor's length along a dimension; 0 where it has none such or isn't there."""
    shape = shapes.get(name, ())
    return shape[index] if len(shape) > index else 0
