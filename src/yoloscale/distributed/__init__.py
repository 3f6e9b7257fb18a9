"""Ranks, the process group and the one collective of an optimiser step. Knows neither model nor data."""
