"""This machine, and the few primitives that touch it. Knows nothing of runs."""
