"""One load of a GGUF file by a real llama.cpp, alone in its process.

Takes a file, a context, a micro-batch and a KV type. The engine's log goes to
stderr; stdout gets one line of JSON: resident memory before and at its peak.
"""

import json
import os
import sys
from pathlib import Path

import xllamacpp


def status_kib(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def main(file: str, context: int, ubatch: int, kv_type: str) -> None:
    params = xllamacpp.CommonParams()
    params.model.path = file
    params.n_ctx, params.n_ubatch, params.n_parallel = context, ubatch, 1
    params.cache_type_k = params.cache_type_v = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{kv_type.upper()}")
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup = params.ui = params.fit_params = False
    params.verbosity = 4
    before = status_kib("VmRSS")
    server = xllamacpp.Server(params)
    server.handle_completions({"prompt": list(range(300, 300 + ubatch)), "n_predict": 1, "temperature": 0})
    print(json.dumps({"before_kib": before, "peak_kib": status_kib("VmHWM")}), flush=True)
    os._exit(0)  # the server's threads have nothing left to do


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
