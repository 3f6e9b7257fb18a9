"""The dataset of a run: fetched, rendered and checked before any rank reads it."""

from __future__ import annotations

from yoloscale.config.locations import cache_folder
from yoloscale.config.node_paths import or_later
from yoloscale.config.schema import Config, OriginConfig, Task, ValConfig
from yoloscale.errors import ConfigError
from yoloscale.system.remarks import Say


def check_data(config: Config | ValConfig, task: Task, say: Say) -> OriginConfig:
    """Fetch, render and check the dataset; its fingerprint, and where it lies in the cache. Raises ConfigError.

    The fingerprint begins with the number of training images, of a run that only evaluates with that of those.
    """
    from yoloscale.datasets import fraction, sources
    from yoloscale.datasets.check import dataset as check
    from yoloscale.datasets.check.yaml import Reads

    cache, reads = cache_folder(config.paths), Reads.of(config, task)
    try:
        source = sources.prepare(config.data, task, cache, say, reads, config.origin.opened)
    except ConfigError as error:
        raise ConfigError([or_later(problem, config) for problem in error.problems]) from None
    report = check.check(
        source,
        task,
        split=reads.split,
        single_cls=reads.single_cls,
        flips=reads.flips,
        trains=reads.trains,
        cache=cache,
        say=say,
    )
    for line in report.warnings():
        say(line)
    for split in reads.splits:
        if loss := fraction.remark(source, task, split, config.fraction, report):
            say(loss)
    first = report.splits[reads.splits[0]]
    dataset = None if report.digest is None else f"{first.images - len(first.skipped)}:{report.digest}"
    return OriginConfig(dataset=dataset, opened=sources.opened_as(config.data, cache, source))
