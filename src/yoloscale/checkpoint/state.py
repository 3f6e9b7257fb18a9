"""What survives: one explicit list.

| key | what |
| --- | --- |
| model, average, average_updates | fp32 parameters and buffers, their moving average and its age |
| optimizer, scaler | torch's own state dicts |
| position | epochs done, optimiser steps done in the epoch and in all, epochs planned |
| best | best fitness so far and its epoch (early stopping counts from it) |
| recovery | learning-rate scale after roll-backs, roll-backs so far, skipped steps in a row and in all |
| means | sums of the epoch's losses so far, and their images |
| mosaic_off | the first epoch (from 0) that was begun without mosaic, and `close_mosaic=` of then; empty: none |
| clock | seconds trained before this start (`time=` counts them) |
| tracker | ids by which a tracker goes on with the same run |
| run_id | whose state it is; empty in a run of before there were ids |
| seed | the run's seed: order, augmentation and in-step randomness are functions of it, so no generator has a state |

The learning rate and the loss weights that change by epoch are functions of the position; they are not stored. With
`time=` the learning rate is one of the clock.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

T = TypeVar("T")

VERSION = 4
TENSORS = frozenset({"model", "average", "average_updates", "optimizer", "scaler"})
NUMBERS = frozenset({"position", "best", "recovery", "means", "mosaic_off", "clock", "tracker", "run_id", "seed"})
KEYS = TENSORS | NUMBERS | {"version"}


class StateError(ValueError):
    """A state that this version cannot take up."""


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
    skipped_in_all: int = 0


@dataclass
class Progress:
    """The plain numbers of a run that survive it; the tensors are the stepper's."""

    position: Position = field(default_factory=Position)
    best: Best = field(default_factory=Best)
    recovery: Recovery = field(default_factory=Recovery)
    means: dict[str, float] = field(default_factory=dict)
    mosaic_off: dict[str, int] = field(default_factory=dict)
    clock: float = 0.0
    tracker: dict[str, str] = field(default_factory=dict)
    seed: int = 0
    run_id: str = ""


def pack(tensors: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The state to store."""
    state = {"version": VERSION, **tensors, **asdict(progress)}
    assert set(state) == KEYS, set(state) ^ KEYS
    return state


def unpack(state: dict[str, Any]) -> tuple[dict[str, Any], Progress]:
    """Inverse of `pack`; states of earlier versions are brought up to this one.

    Raises StateError for a version that is not known here, and for keys that are missing or unknown, which it names.
    """
    state = _migrated(state)
    _compare("the checkpoint", set(state), KEYS)
    progress = Progress(
        position=_numbers(Position, "position", state),
        best=_numbers(Best, "best", state),
        recovery=_numbers(Recovery, "recovery", state),
        means=dict(state["means"]),
        mosaic_off=dict(state["mosaic_off"]),
        clock=state["clock"],
        tracker=dict(state["tracker"]),
        seed=state["seed"],
        run_id=state["run_id"],
    )
    return {key: state[key] for key in TENSORS}, progress


def _migrated(state: dict[str, Any]) -> dict[str, Any]:
    version = state.get("version")
    if version == 1:
        others = {key: value for key, value in state.items() if key != "productive_s"}
        state = {**others, "version": 2, "recovery": {**state["recovery"], "skipped_in_all": 0}}
    if state.get("version") == 2:
        state = {**state, "version": 3, "run_id": ""}
    if state.get("version") == 3:
        state = {**state, "version": VERSION, "mosaic_off": {}}
    if state.get("version") != VERSION:
        raise StateError(f"the checkpoint has version {version!r}, this yoloscale reads up to {VERSION}: update it")
    return state


def _numbers(kind: type[T], key: str, state: dict[str, Any]) -> T:
    """One of the dataclasses above from its dictionary."""
    _compare(f"{key!r} of the checkpoint", set(state[key]), {entry.name for entry in fields(kind)})  # type: ignore[arg-type]  # a dataclass
    return kind(**state[key])


def _compare(what: str, keys: set[str], expected: set[str] | frozenset[str]) -> None:
    if keys != expected:
        missing, unknown = sorted(expected - keys), sorted(keys - expected)
        raise StateError(f"{what} lacks {missing} and has unknown {unknown}")
