"""What a run is: its schema, and how a command line becomes one. Imports no torch."""
