"""What must be there before any point starts: weights, images and labels, each looked after once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from yoloscale.config.schema import Config
from yoloscale.errors import ConfigError
from yoloscale.launch.prepare import prepare, refuse_weights
from yoloscale.sweep.configure import ConfiguredPoint, ConfiguredSweep
from yoloscale.sweep.problems import gathered
from yoloscale.system.remarks import Say, once

_Result = TypeVar("_Result")


def prepare_all(sweep: ConfiguredSweep, say: Say) -> ConfiguredSweep:
    """Fetch, render and check what the points name; the sweep with their tasks filled in.

    `say` gets each line once. Raises ConfigError with what is wrong with any of them.
    """
    say = once(say)
    prepared = _each(sweep, lambda config: prepare(config, say))
    return replace(sweep, points=tuple(map(_with_findings, sweep.points, prepared)))


def refuse_weights_of(sweep: ConfiguredSweep) -> None:
    """Raise ConfigError for the weights of any point that are here and cannot be trained; nothing is fetched."""
    _each(sweep, refuse_weights)


def _each(sweep: ConfiguredSweep, look: Callable[[Config], _Result]) -> list[_Result]:
    """The result for each point, looked for once for those that need the same. Raises ConfigError for all of them."""
    done = dict[str, _Result | ConfigError]()
    keys = [needs(each.config) for each in sweep.points]
    for key, each in zip(keys, sweep.points, strict=True):
        if key not in done:
            try:
                done[key] = look(each.config)
            except ConfigError as error:
                done[key] = error
    results = [done[key] for key in keys]
    problems = [result.problems if isinstance(result, ConfigError) else () for result in results]
    if told := gathered(problems, [each.name for each in sweep.points]):
        raise ConfigError(told)
    return [result for result in results if not isinstance(result, ConfigError)]


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
