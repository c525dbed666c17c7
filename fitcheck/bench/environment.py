"""What a figure depends on beside the code."""

import os
import platform

from fitcheck import __version__
from fitcheck.bench import native
from fitcheck.schema.machine import Machine, Pages


def environment(machine: Machine, pages: Pages) -> dict[str, str]:
    """Names and plain texts, for whoever compares two runs; unknown parts are left out."""
    system = machine.system
    found = {
        "fitcheck": __version__,
        "compiler": native.compiler(),
        "isa_forced": os.environ.get(native.ISA_VARIABLE) or "no",
        "cpu": machine.cpu,
        "system": f"{platform.system()} {platform.release()}",
        "hypervisor": system.hypervisor if system else None,
        "governor": system.governor if system else None,
        "pages": pages,
        "page_bytes": str(system.page_bytes) if system and system.page_bytes else None,
        "huge_pages": system.transparent_huge_pages if system else None,
        "load": f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else None,
    }
    return {name: text for name, text in found.items() if text}
