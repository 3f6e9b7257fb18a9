"""What a rank and the launcher import: 32 ranks read all of it from one file system at the same moment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_RANK = """
from yoloscale.yolo import runtime
runtime.prepare(1, False)
from yoloscale.worker.train.train import train
import ultralytics.models.yolo.detect
"""
_LAUNCHER = "import yoloscale.cli.main"
_SHOW = "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
HEAVY = {"matplotlib", "pandas", "polars", "scipy", "sympy", "wandb", "mlflow", "tensorboard", "optuna", "pyarrow"}


def imported(program: str, folder: Path) -> list[str]:
    variables = {**os.environ, "YOLO_CONFIG_DIR": str(folder)}
    argv = [sys.executable, "-c", program + _SHOW]
    done = subprocess.run(argv, env=variables, capture_output=True, text=True, check=True, timeout=300)
    return list(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(("program", "most"), [(_RANK, 1900), (_LAUNCHER, 150)], ids=["rank", "launcher"])
def test_nothing_heavy_is_imported_before_it_is_needed(program: str, most: int, tmp_path: Path) -> None:
    modules = imported(program, tmp_path)
    roots = {name.partition(".")[0] for name in modules}
    assert not roots & HEAVY
    assert not {"torch._dynamo", "torch._inductor"} & set(modules)
    assert len(modules) < most  # 1,622 and 86 with torch 2.14 and ultralytics 8.4.190


def test_the_launcher_imports_no_torch(tmp_path: Path) -> None:
    assert not {"torch", "ultralytics", "numpy"} & set(imported(_LAUNCHER, tmp_path))
