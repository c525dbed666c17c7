"""Coverage-guided fuzzing, apart from the tests. Needs atheris: pip install atheris.

    python tests/fuzz/run.py gguf FOLDER tests/fuzz/corpus/gguf -max_total_time=3600 -max_len=4096

What is found new is kept in FOLDER. Memory and time of one input are bounded
here, so that a runaway allocation or a hang is a finding like a crash.
"""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))
with atheris.instrument_imports(include=["fitcheck", "targets"]):
    import targets

LIMITS = ["-rss_limit_mb=512", "-timeout=20"]  # seconds by the clock: a busy machine may stop us for some

if __name__ == "__main__":
    target = getattr(targets, sys.argv[1])
    atheris.Setup([sys.argv[0], *LIMITS, *sys.argv[2:]], lambda data: target(data) and None)
    atheris.Fuzz()
