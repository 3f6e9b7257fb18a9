"""`yoloscale train [key=value …]`: compose, check, and run it here, in the background, or as one node of several."""

from __future__ import annotations

from yoloscale.cli import verb
from yoloscale.cli.show.watch import say
from yoloscale.errors import ConfigError, Problem


def main(arguments: list[str]) -> int:
    """Train; 0 finished, 1 failed, 2 bad config, 75 stopped on request, 130 interrupted."""
    from yoloscale.cli import resume
    from yoloscale.cli.sweep import verbs
    from yoloscale.config.compose.each_dataset import with_each_dataset
    from yoloscale.config.compose.flags import split
    from yoloscale.config.compose.hydra import run_hydra_flags

    if (words := resume.words_of(arguments)) is not None:
        return resume.main(words)
    flags = verb.own_flags(arguments)
    line = split(flags.rest)
    answered = run_hydra_flags(line)
    if answered is not None:
        return answered
    if (tokens := with_each_dataset(flags.rest, say)) != flags.rest:
        line = split(tokens)
    if line.is_sweep:
        refuse_for_sweeps(flags)
        return verbs.train(line, dry_run=flags.dry_run, prepare=flags.prepare, detach=flags.detach)
    return verb.start(line, flags)


def refuse_for_sweeps(flags: verb.OwnFlags) -> None:
    """Flags of a run over several nodes without a scheduler."""
    if flags.node_rank is not None:
        raise ConfigError(Problem("--node-rank", "for a sweep", "leave it out: a point has one node, or is a job"))
