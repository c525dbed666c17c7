"""What to type: the options that make an engine do as planned.

Checked against common/arg.cpp of llama.cpp b11434 (builds from before 2026
call ``-lm none`` ``--no-mmap``), docs/modelfile.md of Ollama and the engine
arguments in vLLM's documentation.
"""

from collections.abc import Callable, Iterator

from fitcheck.budget import Budget
from fitcheck.placement import Engines, Way
from fitcheck.schema.request import Request


def flags_of(way: Way, engines: Engines, request: Request, context: int, budget: Budget) -> tuple[str, ...]:
    """The options, each with its value; none for engines whose options nobody looked up."""
    write = _WRITERS.get(engines.memory.flags or "")
    return tuple(write(way, engines, request, context, budget)) if write else ()


def _llama(way: Way, _: Engines, request: Request, context: int, budget: Budget) -> Iterator[str]:
    gpus = bool(budget.cards or budget.unified)
    if not way.gpu and gpus:
        yield "--device none"
    if way.gpu:
        yield f"-ngl {way.gpu_layers or 'all'}"
    if way.cpu_moe_layers:
        yield f"--n-cpu-moe {way.cpu_moe_layers}"
    yield f"-c {context}"
    if request.slots > 1:
        yield f"-np {request.slots}"
    if request.ubatch != 512:
        yield f"-ub {request.ubatch}"
    if request.kv_type != "f16":
        yield f"-ctk {request.kv_type} -ctv {request.kv_type}"
    if request.flash_attention != "auto" or request.kv_type != "f16":
        yield f"-fa {'off' if request.flash_attention == 'off' else 'on'}"
    if request.threads:
        yield f"-t {request.threads}"
    if not request.mmap:
        yield "-lm none"
    if not request.repack and not way.gpu:
        yield "--no-repack"


def _ollama(way: Way, _: Engines, request: Request, context: int, budget: Budget) -> Iterator[str]:
    if request.kv_type != "f16":
        yield f"OLLAMA_FLASH_ATTENTION=1 OLLAMA_KV_CACHE_TYPE={request.kv_type}"
    yield f"PARAMETER num_ctx {context // request.slots}"
    if budget.cards or budget.unified:
        yield f"PARAMETER num_gpu {way.gpu_layers or (999 if way.gpu else 0)}"
    if not request.mmap:
        yield "PARAMETER use_mmap false"


def _vllm(way: Way, engines: Engines, _request: Request, context: int, _budget: Budget) -> Iterator[str]:
    yield f"--max-model-len {context}"
    if engines.gpu and engines.gpu.memory.share:
        yield f"--gpu-memory-utilization {engines.gpu.memory.share:g}"
    if len(way.seats) > 2:
        yield f"--tensor-parallel-size {len(way.seats) - 1}"


_WRITERS: dict[str, Callable[[Way, Engines, Request, int, Budget], Iterator[str]]] = {
    "llama.cpp": _llama,
    "ollama": _ollama,
    "vllm": _vllm,
}
