"""An engine's rates translated to a machine: which kernel, how fast, how sure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from fitcheck.schema.engine import (
    OVERLAP,
    OWN_ENGINE,
    AttentionRate,
    Device,
    Engine,
    GpuFamily,
    Link,
    PrefillGpu,
    PrefillLanes,
    Residual,
    Sockets,
    TypeRate,
)
from fitcheck.schema.machine import Basis, Gpu, Machine

# The widest kernel family first. An ISA runs what the ones behind it run.
_ISA_ORDER = ("avx512", "avx2", "neon_dotprod", "neon", "scalar")
_ISA_OF_FEATURE = {
    "avx512_vnni": "avx512",
    "avx512bw": "avx512",
    "avx2": "avx2",
    "dotprod": "neon_dotprod",
    "neon": "neon",
}

# Kernels without a rate of their own, beside AVX2 on cores as wide and as fast:
# llama.cpp's dots of 15 types on one M2 core stand at 0.64 to 1.4 of a Zen 4
# core's, 1.0 at the median, its AVX-512 build at 1.0 of its AVX2 build (same core, b11434). Without
# dot products a multiply takes four instructions: a Raspberry Pi 400 core does
# 1.1e9 Q4_K weights/s (1.6 tokens/s of Llama-3.2-3B on four).
_RELATIVE = {"avx512": 1.0, "avx2": 1.0, "neon_dotprod": 1.0, "neon": 0.25, "scalar": 0.02}

HALF_TYPES = ("F16", "BF16")

_OTHER_CARD = {"ti", "super", "laptop", "mobile", "max", "d"}  # what follows the name of a card that it isn't

# A core of which only the features are known, beside the reference of its kind:
# x86 from 0.6 (a small core of 256 bits) to 1.5 (a desktop), Arm with dot products
# from 0.25 (two pipes at 1.8 GHz) to 1.25 (an M4), without them a Cortex-A53 to A72.
_TYPICAL_SPEED = {"avx512": 1.0, "avx2": 1.0, "neon_dotprod": 0.6, "neon": 0.12, "scalar": 1.0}


@dataclass(frozen=True, slots=True)
class CoreRate:
    """Weights a second for one core, and where the figure comes from."""

    weights_per_s: float
    basis: Basis
    parallel_share: float = 1.0
    overlap: float = OVERLAP
    turn_s: float = 0.0  # of a core for a row, where several cores take turns

    def again(self, cores: int) -> float:
        """Weights a second for so many cores together, of tokens for which no weight is read any more."""
        return self.weights_per_s * cores

    def of(self, cores: int) -> float:
        """Weights a second for so many cores together."""
        return self.weights_per_s * cores * (self.parallel_share if cores > 1 else 1.0)


class GpuShare(NamedTuple):
    """What an engine reaches on a GPU: share of its bandwidth, seconds a layer on top."""

    read_efficiency: float
    overhead_s_per_layer: float


def isa_of(machine: Machine) -> str | None:
    """The kernel family an engine would pick on this machine; None where unknown."""
    found = {_ISA_OF_FEATURE[feature] for feature in machine.simd if feature in _ISA_OF_FEATURE}
    return next((isa for isa in _ISA_ORDER if isa in found), None)


def core_rates(engine: Engine, machine: Machine) -> dict[str, CoreRate]:
    """How fast one core multiplies each type, of those that somebody measured.

    A rate measured on the machine itself counts for the engine whose kernels
    they are. Then comes the profile's rate for the same ISA, scaled by how
    this core stands to the profile's, then one scaled from another ISA.
    """
    by_type: dict[str, list[TypeRate]] = {}
    for rate in engine.rates:
        by_type.setdefault(rate.type, []).append(rate)
    isa, speed = isa_of(machine), core_speed(engine, machine)
    found = {name: _for_isa(rates, isa, speed) for name, rates in by_type.items()}
    if engine.name == OWN_ENGINE:
        for own in reversed(machine.kernel_rates):  # the first of a type counts
            found[own.format] = CoreRate(own.weights_per_s, own.basis, overlap=engine.overlap)
    return found


def core_speed(engine: Engine, machine: Machine) -> float | None:
    """A core of this machine beside the one the engine's rates come from; None where nothing tells.

    fitcheck's own kernels, timed on both, are the yardstick: the engine's
    dots are of the same kind. Otherwise the machine's profile may know.
    """
    if not machine.kernel_rates:
        return machine.core_speed
    there = {(rate.type, rate.isa): rate.weights_per_s for rate in engine.reference}
    ratios = sorted(
        own.weights_per_s / there[own.format, own.isa]
        for own in machine.kernel_rates
        if (own.format, own.isa) in there
    )
    return ratios[len(ratios) // 2] if ratios else machine.core_speed


def typical_speed(machine: Machine) -> float:
    """The same of a core that nothing else is known of."""
    return _TYPICAL_SPEED[isa_of(machine) or "avx2"]


def _for_isa(rates: list[TypeRate], isa: str | None, speed: float | None) -> CoreRate:
    wanted = isa or "avx2"
    pace = speed or _TYPICAL_SPEED[wanted]
    for rate in rates:
        if rate.isa == wanted:
            basis: Basis = "profile" if isa and speed else "assumed"
            return CoreRate(rate.weights_per_s * pace, basis, rate.parallel_share, rate.overlap, rate.turn_s)
    nearest = rates[0]
    scale = pace * _RELATIVE[wanted] / _RELATIVE[nearest.isa]
    return CoreRate(nearest.weights_per_s * scale, "assumed")


def attention_rate(
    engine: Engine, kv_type: str, flash_attention: bool, isa: str | None = None
) -> AttentionRate | None:
    """The engine's own attention speed for this cache; f16 stands in for the rest.

    Of an ISA's own code where that was measured, else what holds for any.
    """
    same = [rate for rate in engine.attention if rate.flash_attention == flash_attention]
    exact = [rate for rate in same if rate.kv_type == kv_type] or same
    own = [rate for rate in exact if rate.isa == isa]
    general = [rate for rate in exact if rate.isa is None]
    return next(iter(own or general or exact), None)


def gpu_share(engine: Engine, gpu_name: str) -> GpuShare:
    """The engine on GPUs of this family; its general figures where none was measured apart."""
    part = family_of(engine, gpu_name) or engine
    return GpuShare(part.read_efficiency, part.overhead_s_per_layer)


def family_of(engine: Engine, gpu_name: str) -> GpuFamily | None:
    """The first family that the GPU's name has words of."""
    return next((family for family in engine.families if _named(gpu_name, family.words)), None)


def link_of(engine: Engine, gpu_name: str) -> Link:
    """What lies between such a card and others. Raises LookupError where the profile knows no link."""
    for link in engine.links:
        if not link.words or _named(gpu_name, link.words):
            return link
    raise LookupError(f"the profile of {engine.name} says nothing of what lies between {gpu_name} and others")


def _named(gpu_name: str, words: Iterable[str]) -> bool:
    """Whether it has one of the words, whole."""
    name = f" {gpu_name.lower().replace('-', ' ')} "
    return any(f" {word} " in name for word in words)


def gpu_rate(engine: Engine, gpu: Gpu, weight_type: str) -> float | None:
    """Weights a second that the GPU's lanes unpack and multiply; None where memory alone is known to bind."""
    if gpu.lane_ops_per_s is None:
        return None
    costs = (cost.per_weight for cost in engine.lane_costs if weight_type in cost.types)
    return next((gpu.lane_ops_per_s / cost for cost in costs), None)


def gpu_rate_together(engine: Engine, gpu: Gpu, weight_type: str) -> float | None:
    """Weights x tokens a second where many tokens are multiplied at once.

    As prompts on such a card show; else as its lanes could at one instruction a weight.
    None where neither is known.
    """
    if row := prefill_gpu(engine, gpu):
        half = row.half_weights_per_s if weight_type in HALF_TYPES else row.quantized_weights_per_s
        return half or row.quantized_weights_per_s
    return gpu.lane_ops_per_s


def codes_for_many(engine: Engine, machine: Machine) -> dict[str, list[TypeRate]]:
    """By type what a core of the machine's ISA was measured to do with many tokens at once, the fewest first.

    The last of a type is the one for a whole prompt.
    """
    rates, isa = engine.prefill.rates if engine.prefill else (), isa_of(machine)
    found: dict[str, list[TypeRate]] = {}
    for rate in sorted(rates, key=lambda rate: rate.since):
        if rate.isa == isa:
            found.setdefault(rate.type, []).append(rate)
    return found


def prefill_gpu(engine: Engine, gpu: Gpu) -> PrefillGpu | None:
    """What a GPU of that name was published to do with prompts, or its lanes do as those of its kind."""
    known = engine.prefill
    if known is None:
        return None
    named = next((row for row in known.gpus if _is_card(gpu.name, row.words)), None)
    return named or _by_lanes(known.lanes, gpu)


def _by_lanes(kinds: Iterable[PrefillLanes], gpu: Gpu) -> PrefillGpu | None:
    ops = gpu.lane_ops_per_s
    kind = next((kind for kind in kinds if _named(gpu.name, kind.words)), None)
    if ops is None or kind is None:
        return None
    return PrefillGpu(kind.words, ops * kind.quantized, ops * kind.half, ops * kind.products, kind.source)


def _is_card(gpu_name: str, words: Iterable[str]) -> bool:
    """Whether it has one of the words, and none behind it that makes it another card, as Ti does."""
    name = f" {gpu_name.lower().replace('-', ' ')} "
    found = (name.partition(f" {word} ") for word in words)
    return any(hit and not set(rest.split()[:1]) & _OTHER_CARD for _, hit, rest in found)


def residual(engine: Engine, basis: Basis) -> Residual:
    """The spread of real runs on this basis; the widest known where none was run."""
    for row in engine.residuals:
        if row.basis == basis:
            return row
    return min(engine.residuals, key=lambda row: row.low)


def across_sockets(engine: Engine, known: Sockets) -> Engine:
    """The engine where its threads read two sockets' memories; a person's own runs tell better how wide."""
    slower = replace(engine, read_efficiency=engine.read_efficiency * known.share)
    if engine.calibrated_by:
        return slower
    wide = Residual("assumed", known.low, known.high, known.runs, known.source)
    return replace(slower, residuals=(wide,))


def sockets_note(known: Sockets) -> str:
    """What to expect of two sockets, and what to do about it."""
    least, most = (known.share * times for times in (known.low, known.high))
    return (
        f"two sockets: threads read across them; about {known.share:.0%} of both memories' bandwidth is "
        f"assumed ({least:.0%} to {most:.0%} in published runs). llama.cpp's --numa distribute with an empty "
        "page cache helps, and one socket alone (numactl --cpunodebind=0 --membind=0) may be as fast"
    )


def calibration_notes(engines: Sequence[Engine], device: Device) -> tuple[str, ...]:
    """A line for each engine on the device that runs of the user's own have moved."""
    return tuple(
        f"{engine.name} on this {device.upper()} is calibrated by {engine.calibrated_by} "
        f"run{'s' if engine.calibrated_by > 1 else ''} of your own"
        for engine in engines
        if engine.calibrated_by and engine.device == device
    )
