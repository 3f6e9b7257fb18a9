"""`train -m` with a search: what is looked for where, then points here or as a job array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from yoloscale.cli.watch import say
from yoloscale.config.schema import Launcher
from yoloscale.config.sweep import Pruner

if TYPE_CHECKING:
    from yoloscale.sweep.search.ready import PlannedSearch


def train(tokens: Sequence[str], *, dry_run: bool, prepare: bool, detach: bool) -> int:
    """Make a search, or join the one of that name, and train its points."""
    from yoloscale.cli import sweep_local
    from yoloscale.cli.sweep import refuse_flags
    from yoloscale.sweep.search.ready import plan_search, ready

    planned = plan_search(tokens)
    is_local = planned.probes.first.cluster.launcher is Launcher.local
    refuse_flags(is_local=is_local, prepare=prepare, detach=detach)
    print("\n".join(described(planned)), flush=True)
    if dry_run:
        return 0
    return sweep_local.start(ready(planned, say).sweep, failed_only=False, detach=detach)


def described(planned: PlannedSearch) -> list[str]:
    """What is to be searched, by whom and for what, a line for each."""
    from yoloscale.runs.objectives import objectives_of
    from yoloscale.sweep.search.settings import total

    settings = planned.settings
    wanted = ", ".join(f"{direction} {metric}" for metric, direction in objectives_of(settings).items())
    pruned = "" if settings.pruner is Pruner.none else f", pruned by {settings.pruner.value}"
    head = f"search {total(settings, planned.space)} points by {settings.sampler.value}{pruned}: {wanted}"
    return [head, *(f"  {dimension}" for dimension in planned.space.dimensions)]
