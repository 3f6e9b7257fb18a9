"""What survives a run's end, and how it is stored, complete or absent. When it is stored is up to `worker.train`."""
