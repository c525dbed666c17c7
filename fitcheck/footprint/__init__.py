"""Bytes: what a model's weights, cache and buffers take, exactly. Pure functions."""
