"""`python -m yoloscale.launch.slurm.owner`, as scripts of earlier versions call backends/slurm/owner.py."""

from __future__ import annotations

import runpy

if __name__ == "__main__":
    runpy.run_module("yoloscale.backends.slurm.owner", run_name="__main__")
