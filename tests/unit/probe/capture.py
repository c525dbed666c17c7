"""Write down what the probe reads of a Linux machine, for replay in the tests.

    python tests/unit/probe/capture.py > tests/unit/probe/captured/NAME.txt

Look through the result before you share it: mount points and group names can be private.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from fitcheck.probe.files import Files
from fitcheck.probe.linux import Process, read_machine, this_process


class Recorder(Files):
    """Reads like Files and remembers every file and link that was there."""

    def __init__(self, root: str = "/") -> None:
        super().__init__(root)
        self.seen: dict[str, str] = {}
        self.links: dict[str, str] = {}

    def text(self, path: str, most: int = 1 << 21) -> str | None:
        text = super().text(path, most)
        if text is not None:
            self.seen[path] = text
        return text

    def exists(self, path: str) -> bool:
        there = super().exists(path)
        if there:
            self.seen.setdefault(path, "")
        return there

    def link(self, path: str) -> str | None:
        target = super().link(path)
        if target is not None and Path(self._root, path).is_symlink():
            self.links[path] = Path(target).relative_to(Path(self._root).resolve()).as_posix()
        return target


def bundle(files: Recorder, process: Process) -> str:
    """The text of a captured machine: a line on the process, then file after file."""
    device = ":".join(map(str, process.device)) if process.device else "-"
    cpus = ",".join(map(str, sorted(process.cpus or ())))
    parts = [f"process arch={process.arch} cpus={cpus} page={process.page_bytes} device={device}"]
    parts += [f"=== {path} -> {target}" for path, target in sorted(files.links.items())]
    parts += [f"=== {path}\n{text}" for path, text in sorted(files.seen.items())]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    recorder = Recorder(os.environ.get("ROOT", "/"))
    here = this_process()
    read_machine(recorder, here)
    print(bundle(recorder, here), end="")
