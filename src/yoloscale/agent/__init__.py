"""The ranks of this node, attempt after attempt: torchrun, what became of them, restarts. Who starts nodes is not known here."""
