"""What a token spends on experts beside reading and multiplying them."""

from typing import NamedTuple

from fitcheck.schema.engine import Routing
from fitcheck.schema.model import Experts, Model
from fitcheck.speed.vectors import among


class Cores(NamedTuple):
    """So many of them, each so fast beside the one that the figures come from."""

    number: int
    speed: float


def routing_s(model: Model, known: Routing, cores: Cores, layers: range | None = None) -> float:
    """Seconds of a token in all layers with experts, or in those among ``layers``.

    Nobody measured how much of it further tokens of a pass add.
    """
    parts = [part for layer in among(model, layers) for part in layer.ffns if isinstance(part, Experts)]
    matrices = sum(part.active * (3 if part.gated else 2) for part in parts)
    said = sum(part.active * (part.latent_size or model.hidden_size) for part in parts)
    summing_s = said * known.sum_s / (cores.number * cores.speed)
    return len(parts) * known.layer_s + matrices * known.matrix_s + summing_s
