"""What must be there before any point starts: weights, images and labels, each looked after once."""

from __future__ import annotations

from dataclasses import replace

from yoloscale.config.errors import ConfigError, Problem
from yoloscale.config.remarks import Say
from yoloscale.config.schema import Config, Task
from yoloscale.launch.prepare import prepare
from yoloscale.sweep.configure import ConfiguredPoint, ConfiguredSweep
from yoloscale.sweep.problems import gathered


def prepare_all(sweep: ConfiguredSweep, say: Say) -> ConfiguredSweep:
    """Fetch, render and check what the points name; the sweep with their tasks filled in.

    `say` gets a line for everything that takes time. Raises ConfigError with what is wrong with any of them.
    """
    done = dict[str, Task | tuple[Problem, ...]]()
    for each in sweep.points:
        key = needs(each.config)
        if key not in done:
            done[key] = _prepare(each.config, say)
    results = [done[needs(each.config)] for each in sweep.points]
    problems = [() if isinstance(result, Task) else result for result in results]
    if told := gathered(problems, [each.name for each in sweep.points]):
        raise ConfigError(told)
    tasks = [result for result in results if isinstance(result, Task)]
    return replace(sweep, points=tuple(map(_with_task, sweep.points, tasks)))


def _prepare(config: Config, say: Say) -> Task | tuple[Problem, ...]:
    try:
        task = prepare(config, say).model.task
    except ConfigError as error:
        return error.problems
    assert task is not None, "it is what preparing a model finds out"
    return task


def needs(config: Config) -> str:
    """All that `prepare` reads of a config, to compare it with that of others."""
    model = config.model, config.pretrained
    images = config.data, config.split, config.single_cls, config.fliplr > 0 or config.flipud > 0
    return repr(
        (
            model,
            images,
            config.logger.tensorboard,
            config.paths.cache,
            config.callbacks,
            config.paths.code,
            config.augmentations,
        )
    )


def _with_task(each: ConfiguredPoint, task: Task) -> ConfiguredPoint:
    composed, config = (replace(one, model=replace(one.model, task=task)) for one in (each.composed, each.config))
    return replace(each, composed=composed, config=config)
