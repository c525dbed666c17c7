"""The fields of graphics cards: which, how many, how large, and what lies on them."""

from collections import Counter

from fitcheck.errors import BadInput
from fitcheck.schema.model import Experts
from fitcheck.schema.plan import Placement
from fitcheck.tui.field import Field, Shown, along, over
from fitcheck.tui.memory_parts import device_label
from fitcheck.units import GIB, gib, parse_capacity

_VRAM_GIB = (4, 6, 8, 10, 11, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 141, 192, 256)
_MOST_CARDS, _DIGITS = 16, 5


def _show_gpus(shown: Shown) -> str:
    """Equal cards are counted."""
    counted = Counter(gpu.name for gpu in shown.question.machine.gpus).items()
    return (
        " + ".join(f"{n} × {device_label(name)}" if n > 1 else device_label(name) for name, n in counted)
        or "none"
    )


def _gpus_step(shown: Shown, direction: int) -> tuple[str, ...] | None:
    """One more of the last card, or one fewer; None where a card must be picked first."""
    names = shown.choices.gpus
    if names is None:
        return () if direction < 0 else None
    if direction < 0:
        return names[:-1]
    return (*names, names[-1])[:_MOST_CARDS] if names else None


def _vram(shown: Shown) -> int | None:
    cards = shown.question.machine.gpus
    return cards[0].vram_bytes if cards else None


def _show_vram(shown: Shown) -> str:
    if shown.question.machine.unified_memory:
        return "the RAM"
    sizes = dict.fromkeys(card.vram_bytes for card in shown.question.machine.gpus)
    each = " each" if len(shown.question.machine.gpus) > len(sizes) == 1 else ""
    return " + ".join(gib(size, 0 if size % GIB == 0 else 1) for size in sizes) + each if sizes else "none"


def _chosen(shown: Shown) -> Placement | None:
    """Where the planner put the layers of the best format."""
    rows = shown.plan.plans
    return next((row for row in rows if row.format == shown.plan.best), rows[0]).placement


def _show_layers(shown: Shown) -> str:
    asked, chosen = shown.question.request.gpu_layers, _chosen(shown)
    if asked is not None:
        return f"{asked} on the GPU"
    return f"auto: {chosen.gpu_layers} of {chosen.layers_total}" if chosen else "auto"


def _layers_step(shown: Shown, direction: int) -> int:
    """From what is asked, else from what the planner chose for the best format."""
    asked, place = shown.question.request.gpu_layers, _chosen(shown)
    chosen, most = (place.gpu_layers, place.layers_total) if place else (0, 1)
    return max(0, min((chosen if asked is None else asked) + direction, most))


def _show_experts(shown: Shown) -> str:
    asked, chosen = shown.question.request.cpu_moe_layers, _chosen(shown)
    if asked is not None:
        return f"{asked} in RAM"
    return f"auto: {chosen.cpu_moe_layers} in RAM" if chosen else "auto"


def _experts_step(shown: Shown, direction: int) -> int:
    """Layers whose experts stay in RAM: as with the layers, but the output has none."""
    asked, place = shown.question.request.cpu_moe_layers, _chosen(shown)
    chosen, most = (place.cpu_moe_layers, place.layers_total - 1) if place else (0, 0)
    return max(0, min((chosen if asked is None else asked) + direction, most))


def _shared(shown: Shown) -> bool:
    """Whether cards stand beside RAM of their own."""
    machine = shown.question.machine
    return bool(machine.gpus) and not machine.unified_memory


def _mixture(shown: Shown) -> bool:
    """Whether there are experts that could stay in RAM."""
    return _shared(shown) and any(
        isinstance(ffn, Experts) for layer in shown.question.model.layers for ffn in layer.ffns
    )


def _parse_layers(text: str) -> int | None:
    if text.strip().lower() == "auto":
        return None
    if not text.strip().isdecimal() or len(text) > _DIGITS:
        raise BadInput(f"{text[:40]!r} is no number of layers", "write a number, or auto")
    return int(text)


GPU_FIELDS = (
    Field("gpus", "GPU", _show_gpus, _gpus_step, hint="enter picks a card", opens="pick_card"),
    Field(
        "vram_bytes", "VRAM", _show_vram,
        lambda shown, way: GIB * along(_VRAM_GIB, over(_vram(shown), GIB), way),
        parse_capacity, "GiB of each card",
    ),
    Field(
        "gpu_layers", "layers", _show_layers, _layers_step, _parse_layers,
        "on GPUs: a number, or auto", when=_shared,
    ),
    Field(
        "cpu_moe_layers", "experts", _show_experts, _experts_step, _parse_layers,
        "layers whose experts stay in RAM", when=_mixture,
    ),
)  # fmt: skip
