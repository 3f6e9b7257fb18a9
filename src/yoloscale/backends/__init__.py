"""Who starts the nodes of a run: this machine, or a scheduler. Only this package knows them apart."""
