"""Many runs from one command: which they are, what they are called, and their configs, frozen all at once."""
