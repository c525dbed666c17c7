"""How families of models compute where no field of their shape tells it, by llama.cpp's names for them."""

from fitcheck.footprint.arena import Tape
from fitcheck.footprint.mechanisms import Cache
from fitcheck.schema.model import Model

# A layer norm needs a tensor of its own where an RMS norm works in place.
LAYER_NORM = frozenset({"command-r", "cohere2", "dbrx", "olmo"})
# Rows of wanted outputs are picked after the last norm, not in the last layer.
PICKED_LATE = frozenset(
    {"gemma3n", "gemma4", "kimi-k3", "nemotron_h", "nemotron_h_moe", "qwen35", "qwen35moe", "qwen3next"}
)
# Values are normed, too.
VALUES_NORMED = frozenset({"gemma3n", "gemma4"})
# Parts that run side by side: the first one's product comes before the second, not after it.
PROJECTED_FIRST = frozenset({"phi2"})
# A gate's activation is made of several operations, the first of which needs a tensor of its own.
ACTIVATED_APART = frozenset({"kimi-k3"})
# Weights of the chosen experts are taken as they are, unless the router has a bias.
UNNORMED = frozenset({"deepseek", "deepseek2", "gpt-oss", "jamba", "llama4", "olmoe", "qwen2moe"})
# Both parts read the same rows, each by a norm of its own.
PARALLEL = frozenset({"falcon"})
# The sum of a residual and a part is kept in the residual's place.
IN_RESIDUAL = frozenset({"jamba", "lfm2", "lfm2moe"})
FED_IN_RESIDUAL = IN_RESIDUAL | {"phi3"}
# Attention without rotary positions: everywhere, or where it has no window.
UNROTATED = frozenset({"jamba", "kimi-k3", "kimi-linear", "nemotron_h", "nemotron_h_moe"})
ROTATED_IN_WINDOWS = frozenset({"cohere2"})


def tell(tape: Tape, model: Model, caches: tuple[Cache, ...]) -> None:
    """Tell mechanisms what all layers of the family do, as no single one of them shows it."""
    tape.activates_apart = model.architecture in ACTIVATED_APART
    tape.norms_weights = model.architecture not in UNNORMED
    tape.norms_values = model.architecture in VALUES_NORMED
    tape.windowed = any(cache.window is not None for cache in caches)
    if tape.windowed and not tape.flash:
        tape.widest_value = max(cache.value for cache in caches)
