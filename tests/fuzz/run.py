"""Coverage-guided fuzzing, apart from the tests. Needs atheris: pip install atheris.

    python tests/fuzz/run.py gguf FOLDER tests/fuzz/corpus/gguf -max_total_time=3600 -max_len=4096

What is found new is kept in FOLDER. Memory and time of one input are bounded
here, so that a runaway allocation or a hang is a finding like a crash.
"""

import sys
import time
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))
with atheris.instrument_imports(include=["fitcheck", "targets"]):
    import targets

LIMITS = ["-rss_limit_mb=512", "-timeout=300"]
MOST_CPU_S = 1.0
"""By the processor's clock: on a busy machine the wall's says nothing of the reader. The limit of
300 s is for an endless loop alone."""


def bounded(data: bytes) -> None:
    """One input, and no more processor time than a reader may take for a few kilobytes."""
    start = time.process_time()
    TARGET(data)
    assert time.process_time() - start < MOST_CPU_S, "too slow"


if __name__ == "__main__":
    TARGET = getattr(targets, sys.argv[1])
    atheris.Setup([sys.argv[0], *LIMITS, *sys.argv[2:]], bounded)
    atheris.Fuzz()
