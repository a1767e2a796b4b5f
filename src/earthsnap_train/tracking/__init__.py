"""Tells others of a run's curves and results, from what the run wrote, once it has written it."""
