"""What a run is: its schema, and how a command line becomes one. Starts nothing, and imports no torch."""
