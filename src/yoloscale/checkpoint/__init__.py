"""What survives a run's end, and how it is stored so that it is complete or absent."""
