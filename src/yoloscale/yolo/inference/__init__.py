"""Inference: what a model finds in an image, by that image alone; no files, no ranks, no run directory."""
