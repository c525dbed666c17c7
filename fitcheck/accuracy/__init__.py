"""How far predictions are off: published runs, refits without one machine, baselines. Pure functions."""
