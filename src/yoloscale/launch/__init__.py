"""The launcher: a frozen config becomes torchrun agents, watched to their end. Imports no torch."""
