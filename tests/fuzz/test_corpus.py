"""The fuzzer's small corpus, replayed: every input ends in a model or in one clear line."""

import runpy
from pathlib import Path

import pytest

TARGETS = runpy.run_path(str(Path(__file__).with_name("targets.py")))
CORPUS = sorted(Path(__file__).with_name("corpus").glob("*/*"))

# The sound seeds, lest a reader that refuses everything pass.
REFUSED = {"gzip.gguf", "vocabulary.gguf", "page.html", "page.html.json"}


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_every_input_is_read_or_refused(path):
    said = TARGETS[path.parent.name](path.read_bytes())
    assert (said == "a model") == (path.name not in REFUSED)
