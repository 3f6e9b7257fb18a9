"""Datasets and weights as files: found, fetched, unpacked, rendered. Samples of a training are in `data`. Imports no torch."""
