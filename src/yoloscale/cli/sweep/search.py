"""`train -m` with a search: what is looked for where, then points here or as a job array."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from yoloscale.backends import registry
from yoloscale.cli.show.ending import shown
from yoloscale.cli.show.watch import say
from yoloscale.cli.start import write_out
from yoloscale.cli.sweep import local
from yoloscale.config.compose.flags import Flags
from yoloscale.config.schema.sweep import Pruner
from yoloscale.exit_codes import FINISHED
from yoloscale.runs.sweep_directory import SweepDirectory, is_sweep
from yoloscale.study.objectives import objectives_of
from yoloscale.sweep.directory import take
from yoloscale.sweep.freeze import proposed_directory
from yoloscale.sweep.search.ready import PlannedSearch, plan_search, ready
from yoloscale.sweep.search.search import Search, forget_removed, open_search
from yoloscale.sweep.search.settings import total
from yoloscale.sweep.search.submit import job_for, open_indices, submit_search
from yoloscale.sweep.submit import said_of_others


def train(line: Flags, *, dry_run: bool, prepare: bool, detach: bool) -> int:
    """Make a search, or join the one of that name, and train its points here or submit them as one array."""
    from yoloscale.cli.sweep.verbs import refuse_flags, say_ahead

    planned = plan_search(line, say)
    is_local = planned.probes.first.cluster.is_here
    refuse_flags(is_local=is_local, prepare=prepare, detach=detach)
    print("\n".join(described(planned)), file=sys.stdout if is_local else sys.stderr, flush=True)
    if dry_run:
        say_ahead(planned.probes)
        return FINISHED if is_local else _print_script(planned, line)
    search = ready(planned, say)
    if is_local:
        return local.start(search.sweep, failed_only=False, detach=detach)
    if prepare:
        print(f"sweep {shown(search.sweep.path)}")
        return FINISHED
    words = ["train", *_named(planned, search.sweep, line)]
    return submit(search.sweep, words, failed_only=False, is_new=search.is_new)


def submit(sweep: SweepDirectory, words: Sequence[str], *, failed_only: bool, is_new: bool = False) -> int:
    """Submit what is left of a search."""
    from yoloscale.cli.sweep.verbs import announce

    search = open_search(sweep)
    with take(sweep):
        if not failed_only:
            forget_removed(search)
        submission = submit_search(search, words, open_indices(search, failed_only=failed_only), is_new=is_new)
    announce(sweep, submission.jobs, len(submission.indices))
    return FINISHED


def _named(planned: PlannedSearch, sweep: SweepDirectory, line: Flags) -> list[str]:
    return [*line.argv, *([] if planned.probes.name is not None else [f"name={sweep.name}"])]


def _print_script(planned: PlannedSearch, line: Flags) -> int:
    sweep = proposed_directory(planned.probes)
    search = Search(sweep, planned.space, planned.settings, planned.base)
    indices = open_indices(open_search(sweep)) if is_sweep(sweep.path) else list(range(search.total))
    print(f"sweep {shown(sweep.path)}\npoints {len(indices)}", file=sys.stderr)
    request = job_for(search, ["train", *_named(planned, sweep, line)], indices)
    backend = registry.required(request.cluster)
    first, *others = backend.render_points(request, indices)
    if others:
        print(said_of_others(first, len(others)), file=sys.stderr)
    write_out(backend.render(first))
    return FINISHED


def described(planned: PlannedSearch) -> list[str]:
    """What is to be searched, by whom and for what, a line for each."""
    settings = planned.settings
    objectives = ", ".join(f"{direction} {metric}" for metric, direction in objectives_of(settings).items())
    pruned = "" if settings.pruner is Pruner.none else f", pruned by {settings.pruner.value}"
    head = f"search {total(settings, planned.space)} points by {settings.sampler.value}{pruned}: {objectives}"
    return [head, *(f"  {dimension}" for dimension in planned.space.dimensions)]
