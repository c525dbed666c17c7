"""xllamacpp's server, alone in its process: it says where it listens, and ends with whoever started it."""

import json
import os
import sys
from importlib.metadata import version
from typing import Any

_FEATURES = {
    "AVX2 = 1": "avx2",
    "AVX512 = 1": "avx512bw",
    "AVX512_VNNI = 1": "avx512_vnni",
    "DOTPROD = 1": "dotprod",
}
_FLASH = {"auto": "AUTO", "on": "ENABLED", "off": "DISABLED"}


def main(asked: dict[str, Any]) -> None:
    """Serve until standard input ends."""
    import xllamacpp  # noqa: PLC0415 (absent where nobody asked for it)

    server = xllamacpp.Server(_params(xllamacpp, asked))
    built_for = xllamacpp.get_system_info()
    said = {
        "port": int(server.listening_address.rsplit(":", 1)[1]),
        "build": version("xllamacpp"),
        "features": [name for word, name in _FEATURES.items() if word in built_for],
    }
    print(json.dumps(said), flush=True)
    sys.stdin.read()
    os._exit(0)  # the server's threads have nothing left to do


def _params(library: Any, asked: dict[str, Any]) -> Any:
    params = library.CommonParams()
    params.model.path = asked["file"]
    params.n_ctx, params.n_ubatch, params.n_parallel = asked["context"], asked["ubatch"], 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = asked["threads"]
    kind = getattr(library.ggml_type, f"GGML_TYPE_{asked['kv_type'].upper()}")
    params.cache_type_k = params.cache_type_v = kind
    flash = f"LLAMA_FLASH_ATTN_TYPE_{_FLASH[asked['flash_attention']]}"
    params.flash_attn_type = getattr(library.llama_flash_attn_type, flash)
    params.n_gpu_layers, params.ui, params.fit_params = 0, False, False
    params.hostnames = ["127.0.0.1"]
    return params


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
