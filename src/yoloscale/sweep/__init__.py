"""Many runs from one command: which they are, their names, their configs frozen all at once. A point is a run."""
