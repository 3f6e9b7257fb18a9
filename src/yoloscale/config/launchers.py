"""Who may start the nodes of a run, by the word for `cluster.launcher`: this machine, and a row for each back end."""

from __future__ import annotations

LOCAL = "local"  # the ranks run where the command is typed; no back end starts them
MODULES = {"slurm": "yoloscale.backends.slurm.backend"}  # with a `BACKEND`; backends/registry.py loads them when needed


def launchers() -> list[str]:
    """All words that the key takes."""
    return [LOCAL, *MODULES]
