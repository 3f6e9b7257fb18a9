"""Datasets and weights as files: found, fetched, unpacked, rendered; without torch. Samples are at home in `data`."""
