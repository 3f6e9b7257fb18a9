"""Benchmarks on the launcher's side: what is measured, and what comes of it. The ranks' part is `worker.bench`."""
