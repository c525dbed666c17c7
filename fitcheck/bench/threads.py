"""How many threads a measurement runs on."""

from fitcheck.errors import BadInput
from fitcheck.schema.machine import Machine


def threads_for(machine: Machine, asked: int | None) -> int:
    """Those asked for, else all of the machine. Raises BadInput for more than it has.

    Threads wait for each other in loops that never sleep: two on one core wait for
    the system to change between them at every product, and a run takes hours.
    """
    there = machine.threads
    if asked is not None and there is not None and asked > there:
        raise BadInput(f"{machine.name} has {there} threads, not {asked}", f"say --threads {there} or fewer")
    return asked or there or 1
