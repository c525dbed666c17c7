"""Will this model, in this format, run on this machine, and how fast?

The library's front door is :func:`fitcheck.planner.plan`, a pure function
from a Model, a Machine and a Request to a Plan.
"""

__version__ = "0.1.0"
