"""The ranks of this node, attempt after attempt: torchrun, how they end, restarts. Knows nobody who starts nodes."""
