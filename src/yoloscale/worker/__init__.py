"""Composition: a frozen config becomes objects, the objects run."""
