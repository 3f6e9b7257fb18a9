"""Jobs that an earlier version has submitted, and templates of sites: the modules that they name are there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "src"


@pytest.mark.parametrize(
    ("earlier", "today"),
    [("launch.slurm.owner", "owner"), ("launch.slurm.node", "node"), ("launch.slurm.conclude", "finalize")],
)
def test_what_they_start_is_what_the_script_of_today_starts(earlier: str, today: str, tmp_path: Path) -> None:
    def said(module: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", f"yoloscale.{module}", str(tmp_path / "none"), "0"]
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        return done.returncode, done.stdout, done.stderr.splitlines()[-1]

    assert said(earlier) == said(f"backends.slurm.{today}")
    assert "no such file" in said(earlier)[2] or said(earlier)[0] != 0
