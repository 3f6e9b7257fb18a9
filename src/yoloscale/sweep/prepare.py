"""What must be there before any point starts: weights, images and labels, each looked after once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from yoloscale.config.schema import Config
from yoloscale.errors import ConfigError
from yoloscale.launch.prepare import prepare, refuse_weights
from yoloscale.sweep.configure import ConfiguredPoint, ConfiguredSweep
from yoloscale.sweep.problems import all_right, attempt
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
    look = once_per_need(look)
    return all_right([attempt(look, each.config) for each in sweep.points], [each.name for each in sweep.points])


def once_per_need(look: Callable[[Config], _Result]) -> Callable[[Config], _Result]:
    """As `look`, which is called once for all configs that need the same; its ConfigError comes for each of them."""
    outcomes = dict[str, _Result | ConfigError]()

    def look_once(config: Config) -> _Result:
        key = needs(config)
        if key not in outcomes:
            outcomes[key] = attempt(look, config)
        outcome = outcomes[key]
        if isinstance(outcome, ConfigError):
            raise outcome
        return outcome

    return look_once


def needs(config: Config) -> str:
    """All that `prepare` reads of a config, to compare it with that of others; less what it only remarks on."""
    flips = config.fliplr > 0 or config.flipud > 0
    images = config.data, config.split, config.single_cls, flips, config.fraction
    code = config.callbacks, config.paths.code, config.augmentations
    place = config.paths.cache, config.origin.folder, config.origin.opened
    return repr((config.model, config.pretrained, images, config.logger.tensorboard, code, place))


def with_origin(config: Config, prepared: Config) -> Config:
    """A config with what preparing it, or one that needs the same, has shown of its dataset and the folder."""
    origin = prepared.origin
    return replace(
        config,
        origin=replace(config.origin, folder=origin.folder, dataset=origin.dataset, opened=origin.opened),
    )


def _with_findings(each: ConfiguredPoint, prepared: Config) -> ConfiguredPoint:
    """A point with the task of its model, too."""
    composed, config = (
        replace(with_origin(one, prepared), model=replace(one.model, task=prepared.model.task))
        for one in (each.composed, each.config)
    )
    return replace(each, composed=composed, config=config)
