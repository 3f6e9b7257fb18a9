"""The run directory: layout, events, status, listing. Read and written by launcher and ranks; starts no process."""
