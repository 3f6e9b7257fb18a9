"""Keeps torch's compiler out of runs that compile nothing: importing it takes seconds on each rank."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch.optim import Optimizer

GUARDED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


def stay_eager() -> None:
    """Let making, saving and loading an optimiser do without the compiler's import.

    torch wraps these methods so that the compiler leaves them alone, and imports it at the first call to say so. A
    wrapped method that is marked as seen to (torch/_compile.py) is called as it is. Where a release marks in another
    way, this changes nothing and the import is paid.
    """
    for name in GUARDED:
        method = getattr(getattr(Optimizer, name), "__wrapped__", None)
        if method is not None:
            setattr(method, "__dynamo_disable", method)


def step_eagerly(optimizer: Optimizer) -> None:
    """Let `optimizer.step` be the bare step without gradients; its wrappers import the compiler to break a graph.

    The wrappers (torch/optim/optimizer.py) serve `differentiable`, profiling and step hooks, which are not used here.
    """
    bare: Any = type(optimizer).step
    while hasattr(bare, "__wrapped__"):
        bare = bare.__wrapped__
    optimizer.step = torch.no_grad()(MethodType(bare, optimizer))  # type: ignore[method-assign]
