"""Ranks, the process group and the one collective of an optimiser step."""
