"""This machine, and the few primitives that touch it."""
