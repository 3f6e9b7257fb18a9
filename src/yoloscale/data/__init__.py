"""Samples: where they come from, in which order, with which random numbers. Their files are at home in `datasets`."""
