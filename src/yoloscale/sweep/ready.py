"""From what was typed after `train -m` to a sweep that can be submitted."""

from __future__ import annotations

from collections.abc import Sequence

from yoloscale.config.compose.flags import Flags, parsed
from yoloscale.sweep.configure import ConfiguredSweep, configure_all
from yoloscale.sweep.directory import TakenSweep
from yoloscale.sweep.freeze import freeze_all, refuse_if_taken
from yoloscale.sweep.grammar.points import expand
from yoloscale.sweep.prepare import prepare_all
from yoloscale.system.remarks import Say


def ready(typed: Sequence[str] | Flags, say: Say, found: ConfiguredSweep | None = None) -> TakenSweep:
    """Prepare all that the points need, then take the sweep's folder and freeze them. Raises ConfigError.

    Nothing is written before every point is known to be right. `found`: what this was configured to already.
    """
    line = parsed(typed)
    sweep = configure_all(expand(line, say), say=say) if found is None else found
    refuse_if_taken(sweep)
    return freeze_all(prepare_all(sweep, say), line.argv, say)
