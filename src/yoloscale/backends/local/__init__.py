"""Runs on this machine, watched or in the background."""
