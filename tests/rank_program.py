"""One rank of a test: `rank_program.py TEST_FILE FUNCTION FOLDER`, started by the fixture `launch_ranks`."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import torch

from yoloscale.dist import group
from yoloscale.dist.environment import from_environment


def function_of(file: str, name: str) -> Any:
    specification = importlib.util.spec_from_file_location("test_of_this_rank", file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["test_of_this_rank"] = module
    specification.loader.exec_module(module)
    return getattr(module, name)


def main(file: str, name: str, folder: Path) -> None:
    torch.set_num_threads(1)
    ranks = from_environment()
    function = function_of(file, name)
    steps = group.join(ranks, "gloo", torch.device("cpu"), timeout_s=60)
    arguments = torch.load(folder / "arguments.pt", weights_only=False)
    torch.save(function(ranks, steps, *arguments), folder / f"result-{ranks.rank}.pt")
    group.leave()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    sys.stdout.flush()
    os._exit(0)
