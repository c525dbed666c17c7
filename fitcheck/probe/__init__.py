"""Where Machines come from: :func:`probe_machine` describes the one we run on.

The room's own values are NamedTuples: Python builds such a class in a tenth of
the time a frozen dataclass takes, and the probe stands before every answer.
"""

from fitcheck.probe.machine import probe_machine

__all__ = ["probe_machine"]
