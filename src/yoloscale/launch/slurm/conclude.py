"""`python -m yoloscale.launch.slurm.conclude`, as scripts of earlier versions call backends/slurm/finalize.py."""

from __future__ import annotations

import runpy

if __name__ == "__main__":
    runpy.run_module("yoloscale.backends.slurm.finalize", run_name="__main__")
