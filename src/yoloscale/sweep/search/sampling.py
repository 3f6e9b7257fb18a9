"""The next point of a study: asked of Optuna's sampler, never one that was there before."""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from yoloscale.config.schema.sweep import Sampler, SearchConfig
from yoloscale.study import study as studies
from yoloscale.sweep.grammar.points import MAX_POINTS
from yoloscale.sweep.grammar.space import Choices, Dimension, Space, Value

if TYPE_CHECKING:
    import optuna

TRIES = 4  # of the sampler, before a point that it does not come upon is looked for
POINT = "point"  # a trial's attribute: the name of the folder of its run
ABANDONED = "abandoned"  # a trial's attribute: its launcher was killed before there was a run


def ask(path: Path, search: SearchConfig, space: Space, name: str) -> tuple[int, dict[str, Value]] | None:
    """A new trial for the point of that name: its number and values. None if a finite space has no other point.

    Called by one process at a time. Raises StudyError.
    """
    try:
        return _ask(path, search, space, name)
    except studies.FAULTS as error:
        raise studies.StudyError(f"{path}: {type(error).__name__}: {error}") from error


def _ask(path: Path, search: SearchConfig, space: Space, name: str) -> tuple[int, dict[str, Value]] | None:
    dimensions, study = distributions(space), studies.load(path)
    for attempt in range(TRIES + 1):
        count = len(trials := study.get_trials(deepcopy=False))
        points = [trial for trial in trials if POINT in trial.user_attrs and ABANDONED not in trial.user_attrs]
        seen = {_identity(trial.params) for trial in points}
        if space.size is not None and len(seen) >= space.size:
            return None
        study.sampler = sampler_of(search, space, count)
        if attempt == TRIES and space.size is not None and space.size <= MAX_POINTS:
            left = [values for values in space.combinations() if _identity(values) not in seen]
            study.enqueue_trial(random.Random(count).choice(left))
        trial = study.ask(dimensions)
        if _identity(trial.params) not in seen or (attempt == TRIES and space.size is None):
            trial.set_user_attr(POINT, name)
            return trial.number, cast("dict[str, Value]", trial.params)
        # by a study without the sampler, which would hear of it: that of a grid ends its study when all was tried
        studies.tell_failed(studies.load(path), trial.number, "the sampler came upon a point that was there before")
    return None


def sampler_of(search: SearchConfig, space: Space, count: int) -> Any:
    """Optuna's sampler for the trial after `count` others: processes that ask in turn draw differently.

    All that a sampler has learned is in the study.
    """
    import optuna

    seed = random.Random(f"{search.seed} {count}").getrandbits(31)
    samplers, startup = optuna.samplers, search.startup_trials
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if search.sampler is Sampler.tpe:
            # points that train count as bad ones meanwhile: those asked for at a time lie apart
            return samplers.TPESampler(n_startup_trials=startup, constant_liar=True, seed=seed)
        if search.sampler is Sampler.cmaes:
            return samplers.CmaEsSampler(n_startup_trials=max(1, startup), warn_independent_sampling=False, seed=seed)
        if search.sampler is Sampler.nsga2:
            return samplers.NSGAIISampler(population_size=max(2, startup), seed=seed)
        if search.sampler is Sampler.grid:
            values = {each.key: list(each.values or ()) for each in space.dimensions}
            return samplers.GridSampler(values, seed=search.seed)  # of one seed: it orders the grid
        return samplers.RandomSampler(seed=seed)


def distributions(space: Space) -> dict[str, optuna.distributions.BaseDistribution]:
    """The space in Optuna's terms."""
    return {each.key: _distribution(each) for each in space.dimensions}


def _distribution(each: Dimension) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(each, Choices):
        return CategoricalDistribution(each.values)
    if each.is_whole:
        return IntDistribution(int(each.low), int(each.high), log=each.is_log, step=int(each.step or 1))
    return FloatDistribution(each.low, each.high, log=each.is_log, step=each.step)


def _identity(params: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """Values as text: floats that differ in the last digits by rounding only are one."""
    return tuple(
        sorted((key, f"{value:.12g}" if isinstance(value, float) else str(value)) for key, value in params.items())
    )
