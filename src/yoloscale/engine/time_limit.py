"""`time=`: how much of a run's time is over, so that the learning rate reaches its last value at the end.

How many epochs fit is not known when the first one starts, and the time may end within an epoch. So the schedule
follows the clock of rank 0, of which every rank hears with the gradients of the step before.
"""

from __future__ import annotations

from typing import NamedTuple


class Spent(NamedTuple):
    """`share`: of the training time that will be over when the next step ends, at most 1.

    `epochs`: how many will have been trained at the end, at this pace; 0 while that is not known.
    """

    share: float
    epochs: float


class Pending(NamedTuple):
    """Steps of the epoch that are still to be done, all steps of an epoch, and epochs done, in part or whole."""

    left: int
    steps: int
    epochs: float


def spent(clock_s: float, limit_s: float, pending: Pending, *, step_s: float, evaluation_s: float, ahead: int) -> Spent:
    """At the end of the step that is `ahead` steps from now on.

    Args:
        clock_s: seconds trained and evaluated so far, earlier starts included.
        step_s: mean of a step; 0 while none was measured.
        evaluation_s: of the last one; 0 before there was one.
    """
    end_s = training_end_s(clock_s, limit_s, pending, step_s, evaluation_s)
    share = min((clock_s + ahead * step_s) / end_s, 1.0)
    epochs = (pending.epochs + ahead / pending.steps) / share if step_s else 0.0
    return Spent(share, epochs)


def training_end_s(clock_s: float, limit_s: float, pending: Pending, step_s: float, evaluation_s: float) -> float:
    """When the last step is expected to be done: at the limit, or before the evaluation that the limit falls into."""
    epoch_end_s = clock_s + pending.left * step_s
    if not step_s or epoch_end_s >= limit_s:
        return limit_s
    cycle_s = pending.steps * step_s + evaluation_s
    epoch_end_s += (limit_s - epoch_end_s) // cycle_s * cycle_s  # the last epoch that ends in time
    return epoch_end_s if epoch_end_s + evaluation_s >= limit_s else limit_s
