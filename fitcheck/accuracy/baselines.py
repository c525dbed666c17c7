"""What simpler formulas say of the same runs."""

from collections.abc import Iterator

from fitcheck.accuracy.case import Case
from fitcheck.footprint.assignment import weights_bytes
from fitcheck.footprint.tensors import active_parameters, parameters
from fitcheck.schema.model import Attention, Experts, Layer, Model


def bandwidth_over_size(case: Case) -> float:
    """The data sheet's bandwidth over the size of the file."""
    return _bandwidth(case) / weights_bytes(case.model, case.run.format)


def _bandwidth(case: Case) -> float:
    machine = case.machine
    peak = machine.peak_bandwidth_bytes_per_s or machine.bandwidth_bytes_per_s
    if case.run.device == "gpu":
        peak = machine.gpus[0].bandwidth_bytes_per_s or peak
    if peak is None:
        raise ValueError(f"{machine.name} has no bandwidth")
    return peak


# The rules of llmfit (AlexsJones/llmfit@3f44fd30, estimate_tps in
# llmfit-core/src/fit.rs, tables in models.rs), stated anew.
_EFFICIENCY = 0.55
_CPU_ONLY = 0.3
_BYTES = {
    **dict.fromkeys(("F16", "BF16"), 2.0),
    "Q8_0": 1.0, "Q6_K": 0.75, "Q5_K_M": 0.625, "Q3_K_M": 0.375, "Q2_K": 0.25,
}  # fmt: skip
_FILE_BYTES = {
    **dict.fromkeys(("F16", "BF16"), 2.0),
    "Q8_0": 1.05, "Q6_K": 0.8, "Q5_K_M": 0.68, "Q3_K_M": 0.48, "Q2_K": 0.37,
}  # fmt: skip
_MULTIPLIER = {
    **dict.fromkeys(("F16", "BF16"), 0.6),
    "Q8_0": 0.8, "Q6_K": 0.95, "Q4_K_M": 1.15, "Q4_0": 1.15, "Q3_K_M": 1.25, "Q2_K": 1.35,
}  # fmt: skip


def llmfit(case: Case) -> float:
    """On a GPU 0.55 x bandwidth over parameters x bytes, on a CPU 70 (Arm: 90) over 10⁹ parameters."""
    if case.run.device == "cpu":
        return _llmfit_on_cpu(case)
    if _expert_layers(case.model):
        return _llmfit_of_experts(case)
    read = parameters(case.model) * _BYTES.get(case.run.format, 0.5)
    return _EFFICIENCY * _bandwidth(case) / read


def _llmfit_on_cpu(case: Case) -> float:
    machine = case.machine
    billions = max(0.1, active_parameters(case.model) / 1e9)
    many_cores = 1.1 if (machine.threads or 1) >= 8 else 1.0
    constant = 90 if machine.arch == "aarch64" else 70
    return constant / billions * _MULTIPLIER.get(case.run.format, 1.0) * many_cores * _CPU_ONLY


def _llmfit_of_experts(case: Case) -> float:
    """Active experts at the format's bytes, all else at 3.2; less where the card is over 60 % full."""
    model = case.model
    bytes_per_weight = _FILE_BYTES.get(case.run.format, 0.58)
    experts = sum(3 * model.hidden_size * part.size * part.active for part in _expert_layers(model))
    fixed = sum(map(_fixed, _expert_layers(model))) * model.hidden_size
    fixed += (
        sum(_attention(layer, model) for layer in model.layers) + 2 * model.vocab_size * model.hidden_size
    )
    return _bandwidth(case) / (experts * bytes_per_weight + 3.2 * fixed) * _pressure(case, bytes_per_weight)


def _pressure(case: Case, bytes_per_weight: float) -> float:
    used = parameters(case.model) * bytes_per_weight / (case.run.cards * case.machine.gpus[0].vram_bytes)
    if not 0.6 <= used <= 1.0:
        return 1.0
    part = _expert_layers(case.model)[0]
    return max(0.3, 1 - (used - 0.6) * (1 - part.active / part.count))


def _fixed(part: Experts) -> float:
    """Router and shared experts, in columns of the hidden size."""
    return part.count + 3 * part.shared_size


def _attention(layer: Layer, model: Model) -> float:
    mixer = layer.mixer
    if not isinstance(mixer, Attention):
        return 0.0
    return 2 * model.hidden_size * mixer.head_dim * (mixer.heads + mixer.kv_heads)


def _expert_layers(model: Model) -> list[Experts]:
    return list(_experts(model))


def _experts(model: Model) -> Iterator[Experts]:
    for layer in model.layers:
        for part in layer.ffns:
            if isinstance(part, Experts):
                yield part
