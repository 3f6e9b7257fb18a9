"""Runs as SLURM jobs: the script, its submission, and the programs it consists of."""
