"""Sweeps on the command line: what is printed of them. What they do is in `sweep`."""
