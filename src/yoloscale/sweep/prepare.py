"""What must be there before any point starts: weights, images and labels, each looked after once."""

from __future__ import annotations

from dataclasses import replace

from yoloscale.config.errors import ConfigError, Problem
from yoloscale.config.remarks import Say, once
from yoloscale.config.schema import Config
from yoloscale.launch.prepare import prepare
from yoloscale.sweep.configure import ConfiguredPoint, ConfiguredSweep
from yoloscale.sweep.problems import gathered


def prepare_all(sweep: ConfiguredSweep, say: Say) -> ConfiguredSweep:
    """Fetch, render and check what the points name; the sweep with their tasks filled in.

    `say` gets each line once. Raises ConfigError with what is wrong with any of them.
    """
    say, done = once(say), dict[str, Config | tuple[Problem, ...]]()
    for each in sweep.points:
        key = needs(each.config)
        if key not in done:
            done[key] = _prepare(each.config, say)
    results = [done[needs(each.config)] for each in sweep.points]
    problems = [() if isinstance(result, Config) else result for result in results]
    if told := gathered(problems, [each.name for each in sweep.points]):
        raise ConfigError(told)
    prepared = [result for result in results if isinstance(result, Config)]
    return replace(sweep, points=tuple(map(_with_findings, sweep.points, prepared)))


def _prepare(config: Config, say: Say) -> Config | tuple[Problem, ...]:
    try:
        return prepare(config, say)
    except ConfigError as error:
        return error.problems


def needs(config: Config) -> str:
    """All that `prepare` reads of a config, to compare it with that of others; less what it only remarks on."""
    model = config.model, config.pretrained
    flips = config.fliplr > 0 or config.flipud > 0
    images = config.data, config.split, config.single_cls, flips, config.fraction
    return repr(
        (
            model,
            images,
            config.logger.tensorboard,
            config.paths.cache,
            config.callbacks,
            config.paths.code,
            config.origin.folder,
            config.origin.opened,
            config.augmentations,
        )
    )


def _with_findings(each: ConfiguredPoint, prepared: Config) -> ConfiguredPoint:
    """A point with the task of its model, and what preparing found of its dataset and the folder."""
    task, found = prepared.model.task, prepared.origin

    def with_findings(one: Config) -> Config:
        origin = replace(one.origin, folder=found.folder, dataset=found.dataset, opened=found.opened)
        return replace(one, model=replace(one.model, task=task), origin=origin)

    return replace(each, composed=with_findings(each.composed), config=with_findings(each.config))
