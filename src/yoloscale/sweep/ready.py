"""From what was typed after `train -m` to a sweep that can be submitted."""

from __future__ import annotations

from collections.abc import Sequence

from yoloscale.launch.prepare import Say
from yoloscale.sweep.configure import configure_all
from yoloscale.sweep.directory import TakenSweep
from yoloscale.sweep.freeze import freeze_all, refuse_if_taken
from yoloscale.sweep.points import expand
from yoloscale.sweep.prepare import prepare_all


def ready(tokens: Sequence[str], say: Say) -> TakenSweep:
    """Prepare all that the points need, then take the sweep's folder and freeze them. Raises ConfigError.

    Nothing is written before every point is known to be right.
    """
    sweep = configure_all(expand(tokens))
    refuse_if_taken(sweep)
    return freeze_all(prepare_all(sweep, say), tokens)
