"""Runs as SLURM jobs: the script, its submission, and the two programs it consists of."""
