"""Runs as SLURM jobs: the script, its submission, the programs it consists of. The ranks are `agent`'s."""
