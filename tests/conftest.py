"""Settings for all tests."""

from hypothesis import settings

# Machines are shared: a deadline would fail tests for what others run.
settings.register_profile("fitcheck", deadline=None)
settings.load_profile("fitcheck")
