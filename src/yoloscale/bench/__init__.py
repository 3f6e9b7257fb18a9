"""Benchmarks, on the side of the launcher: what is measured, and what comes of it."""
