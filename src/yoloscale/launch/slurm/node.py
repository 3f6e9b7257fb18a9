"""`python -m yoloscale.launch.slurm.node`, as scripts of earlier versions call backends/slurm/node.py."""

from __future__ import annotations

import runpy

if __name__ == "__main__":
    runpy.run_module("yoloscale.backends.slurm.node", run_name="__main__")
