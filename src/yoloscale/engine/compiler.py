"""Keeps torch's compiler out of runs that compile nothing: importing it takes seconds on each rank."""

from __future__ import annotations

from torch.optim import Optimizer

GUARDED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


def stay_eager() -> None:
    """Let the optimiser's methods do without the compiler's import; call where `torch.compile` is not used.

    torch wraps these methods so that the compiler leaves them alone, and imports it at the first call to say so. A
    wrapped method that is marked as seen to (torch/_compile.py) is called as it is. Where a release marks in another
    way, this changes nothing and the import is paid.
    """
    for name in GUARDED:
        method = getattr(getattr(Optimizer, name), "__wrapped__", None)
        if method is not None:
            setattr(method, "__dynamo_disable", method)
