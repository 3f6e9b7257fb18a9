"""From what was typed to a run that goes on: configured, prepared, locked, started or submitted. Imports no torch."""
