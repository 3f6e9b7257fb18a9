"""One rank of a test, started by the fixture `launch_ranks` from a process that has imported torch already."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import torch

from yoloscale.distributed import group
from yoloscale.distributed.environment import from_environment


def function_of(file: str, name: str) -> Any:
    specification = importlib.util.spec_from_file_location("test_of_this_rank", file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["test_of_this_rank"] = module
    specification.loader.exec_module(module)
    return getattr(module, name)


def main(file: str, name: str, folder: Path, variables: dict[str, str]) -> None:
    """Call the function in a rank whose environment is `variables`; its output goes to `rank-<n>.log` in the folder."""
    os.environ.clear()
    os.environ.update(variables)
    log = os.open(folder / f"rank-{variables['RANK']}.log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    torch.set_num_threads(1)
    ranks = from_environment()
    function = function_of(file, name)
    steps = group.join(ranks, "gloo", torch.device("cpu"), timeout_s=60)
    arguments = torch.load(folder / "arguments.pt", weights_only=False)
    torch.save(function(ranks, steps, *arguments), folder / f"result-{ranks.rank}.pt")
    group.leave()
    sys.stdout.flush()
    os._exit(0)
