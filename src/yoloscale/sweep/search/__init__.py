"""Searches: points that a sampler picks one after another, from what the points before them have shown."""
