"""Bytes of MLX checkpoints: published ones, and those of mlx_lm's own model classes.

``published`` rows are ``metadata.total_size`` of the index beside a checkpoint
of mlx-community, as exo-explore/exo@b5375f8c keeps it in its model cards
(rows that it rounds to MiB are left out). ``mlx-lm`` rows are what mlx_lm
0.32.2 makes of the shape: its model class built, cast, quantized and weighed
tensor by tensor, never evaluated.
"""

import csv
from pathlib import Path

import pytest

from fitcheck.footprint.assignment import weights_bytes
from fitcheck.sources.catalog import load_model

with (Path(__file__).parent / "mlx_sizes.csv").open(newline="") as file:
    ROWS = [(row["kind"], row["model"], row["format"], int(row["bytes"])) for row in csv.DictReader(file)]

# What a checkpoint holds besides, by model: so many bytes, and so many weights quantized like the rest.
TOWER = "its vision tower in 16 bits"
BESIDES = {
    "qwen3.6-27b": (921455584, 0, TOWER),
    "qwen3.6-35b-a3b": (893140576, 0, TOWER),
    "qwen3.5-27b": (921460192, 0, f"{TOWER}; the decay is F32 in it too"),
    "qwen3.5-9b": (912020960, 0, TOWER),
    "gemma-4-31b": (1139100768, 5376 * 1152, f"{TOWER}, and a projector"),
    "gemma-4-e4b": (944380288, 2560 * (768 + 1536), "vision and audio towers in 16 bits, and projectors"),
    "gemma-4-e2b": (944380288, 1536 * (768 + 1536), "vision and audio towers in 16 bits, and projectors"),
    "nemotron-nano-9b-v2": (-27 * 128 * 2, 0, "made before mlx_lm kept the decay in F32"),
    "apertus-8b": (4 * 32 * 2, 0, "the scalars of its activations, which GGUF keeps as metadata"),
    "minimax-m2": (62 * 3072 * 256 // 16, 0, "made with the router's scales and biases in F32"),
}
# What each of those weights takes with its share of the groups' scales and biases.
BITS = {"MLX-4bit": 4.5, "MLX-5bit": 5.5, "MLX-6bit": 6.5, "MLX-8bit": 8.5, "MLX-BF16": 16.0}


@pytest.mark.parametrize(("model", "form", "size"), [row[1:] for row in ROWS])
def test_a_shape_weighs_what_its_checkpoint_does(model: str, form: str, size: int) -> None:
    found = weights_bytes(load_model(model), form)
    if model in BESIDES:
        whole, like_the_rest, _ = BESIDES[model]
        found += whole + (int(like_the_rest * BITS[form] / 8) if like_the_rest else 0)
    assert found == size


def test_every_explanation_is_needed() -> None:
    assert set(BESIDES) <= {model for _, model, _, _ in ROWS}
    for _, model, form, size in ROWS:
        if model in BESIDES:
            assert weights_bytes(load_model(model), form) != size
