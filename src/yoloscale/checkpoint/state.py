"""What survives: one explicit list.

| key | what |
| --- | --- |
| model, average, average_updates | fp32 parameters and buffers, their moving average and its age |
| optimizer, scaler | torch's own state dicts |
| position | epochs done, optimiser steps done in the epoch and in all, epochs planned |
| best | best fitness so far and its epoch (early stopping counts from it) |
| recovery | learning-rate scale after roll-backs, roll-backs so far, skipped steps in a row |
| means | sums of the epoch's losses so far, and their images |
| clock | seconds trained before this start (`time=` counts them) |
| productive_s | seconds of that spent in optimiser steps |
| tracker | ids by which a tracker goes on with the same run |
| seed | the run's seed: order, augmentation and in-step randomness are functions of it, so no generator has a state |

The learning rate and the loss weights that change by epoch are functions of the position; they are not stored.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

VERSION = 1
TENSORS = frozenset({"model", "average", "average_updates", "optimizer", "scaler"})
KEYS = TENSORS | {"version", "position", "best", "recovery", "means", "clock", "productive_s", "tracker", "seed"}


@dataclass
class Position:
    """Where a run stands. `step` of `epoch` (both from 0) is the next one; `total` optimiser steps are done.

    `step` equal to the steps of an epoch means: all trained, not yet evaluated.
    """

    epoch: int = 0
    step: int = 0
    total: int = 0
    epochs: int = 0


@dataclass
class Best:
    """The best fitness seen, and the epoch (from 1) that had it."""

    fitness: float | None = None
    epoch: int = 0


@dataclass
class Recovery:
    """What non-finite steps have led to."""

    scale: float = 1.0
    rollbacks: int = 0
    skipped: int = 0


@dataclass
class Progress:
    """The plain numbers of a run that survive it; the tensors are the stepper's."""

    position: Position = field(default_factory=Position)
    best: Best = field(default_factory=Best)
    recovery: Recovery = field(default_factory=Recovery)
    means: dict[str, float] = field(default_factory=dict)
    clock: float = 0.0
    productive_s: float = 0.0
    tracker: dict[str, str] = field(default_factory=dict)
    seed: int = 0


def pack(tensors: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The state to store."""
    state = {"version": VERSION, **tensors, **asdict(progress)}
    assert set(state) == KEYS, set(state) ^ KEYS
    return state


def unpack(state: dict[str, Any]) -> tuple[dict[str, Any], Progress]:
    """Inverse of `pack`.

    Raises:
        ValueError: another version, or keys missing or unknown; names them.
    """
    if state.get("version") != VERSION:
        raise ValueError(f"the checkpoint has version {state.get('version')!r}, this yoloscale reads {VERSION}")
    if set(state) != KEYS:
        missing, unknown = sorted(KEYS - set(state)), sorted(set(state) - KEYS)
        raise ValueError(f"the checkpoint lacks {missing} and has unknown {unknown}")
    progress = Progress(
        position=Position(**state["position"]),
        best=Best(**state["best"]),
        recovery=Recovery(**state["recovery"]),
        means=dict(state["means"]),
        clock=state["clock"],
        productive_s=state["productive_s"],
        tracker=dict(state["tracker"]),
        seed=state["seed"],
    )
    return {key: state[key] for key in TENSORS}, progress
