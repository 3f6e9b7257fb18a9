"""The dataset of a run: fetched, rendered and checked before any rank reads it."""

from __future__ import annotations

from yoloscale.config.locations import cache_folder
from yoloscale.config.node_paths import or_later
from yoloscale.config.schema import Config, OriginConfig, Task
from yoloscale.errors import ConfigError
from yoloscale.system.remarks import Say


def check_data(config: Config, task: Task, say: Say) -> OriginConfig:
    """Fetch, render and check the dataset; its fingerprint, and where it lies in the cache. Raises ConfigError."""
    from yoloscale.datasets import fraction, sources
    from yoloscale.datasets.check import dataset as check
    from yoloscale.datasets.check.yaml import Reads

    cache, reads = cache_folder(config.paths), Reads.of(config, task)
    try:
        source = sources.prepare(config.data, task, cache, say, reads, config.origin.opened)
    except ConfigError as error:
        raise ConfigError([or_later(problem, config) for problem in error.problems]) from None
    report = check.check(
        source, task, split=reads.split, single_cls=reads.single_cls, flips=reads.flips, cache=cache, say=say
    )
    for line in report.warnings():
        say(line)
    for split in dict.fromkeys(("train", reads.split)):
        if loss := fraction.remark(source, task, split, config.fraction, report):
            say(loss)
    train = report.splits["train"]
    dataset = None if report.digest is None else f"{train.images - len(train.skipped)}:{report.digest}"
    return OriginConfig(dataset=dataset, opened=sources.opened_as(config.data, cache, source))
