"""Seconds: how long one token takes on a machine. Pure functions."""
