from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"

Yoloscale = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def yoloscale(tmp_path: Path) -> Yoloscale:
    """Run the command as a person does, in an empty folder, with nothing fetched."""
    (tmp_path / "work").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "YOLOSCALE_CACHE": str(tmp_path / "cache")}

    def run(*arguments: str, cwd: Path | None = None, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "yoloscale", *arguments]
        folder = cwd or tmp_path / "work"
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    return run
