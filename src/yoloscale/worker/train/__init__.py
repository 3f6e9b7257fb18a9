"""The program of one rank that trains."""
