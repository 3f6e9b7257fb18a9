"""How much each varied key has to do with the metric."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from yoloscale.report.results import PointResult, SweepResults
from yoloscale.system.formatting import as_number

MAIN_EFFECTS = "share of the metric's variance that the key explains by itself"
PED_ANOVA = "importance for being among the best, by Optuna's PED-ANOVA"
_QUARTERS = 4
_LEAST_TRIALS = 8  # of a search, below which Optuna's figures are noise


def importance(results: SweepResults) -> tuple[str, dict[str, float]] | None:
    """What was measured, and the figure of each key, largest first; None where there is nothing to compare.

    Of the first objective. Grids have every combination, so the variance of the means of each value tells; a search
    does not, and is left to Optuna if that is installed.
    """
    points = [point for point in results.points if point.is_complete]
    keys = [key for key in results.keys if len({point.values.get(key, "") for point in points}) > 1]
    values = [float(point.objectives[0] or 0.0) for point in points]
    if len(points) < 3 or len(keys) < 2 or max(values) == min(values):
        return None
    kind, shares = PED_ANOVA, _ped_anova(results, points, keys, values) if results.is_search else None
    if shares is None:
        kind, shares = MAIN_EFFECTS, main_effects([point.values for point in points], keys, values)
    return kind, dict(sorted(shares.items(), key=lambda entry: -entry[1]))


def main_effects(
    settings: Sequence[Mapping[str, str]], keys: Sequence[str], values: Sequence[float]
) -> dict[str, float]:
    """Of each key, the variance between the means of its values, as a share of the whole variance (eta squared).

    Numbers of which nearly every point has another are put into quarters first. Other keys with a value of its own for
    each point explain nothing: the means are the values themselves.
    """
    mean = fmean(values)
    whole = sum((value - mean) ** 2 for value in values)
    shares = {}
    for key in keys:
        groups = defaultdict[Any, list[float]](list)
        for group, value in zip(_grouped([setting.get(key, "") for setting in settings]), values, strict=True):
            groups[group].append(value)
        between = sum(len(group) * (fmean(group) - mean) ** 2 for group in groups.values())
        shares[key] = between / whole if len(groups) < len(values) else 0.0
    return shares


def _grouped(values: Sequence[str]) -> list[Any]:
    numbers = [as_number(value) for value in values]
    different = sorted({number for number in numbers if number is not None})
    if None in numbers or len(different) <= len(values) / 2:
        return list(values)
    ranks = {number: rank * _QUARTERS // len(different) for rank, number in enumerate(different)}
    return [ranks[number] for number in numbers if number is not None]


def _ped_anova(
    results: SweepResults, points: Sequence[PointResult], keys: Sequence[str], values: Sequence[float]
) -> dict[str, float] | None:
    """None if Optuna is not installed, or has too little to go by."""
    if len(points) < _LEAST_TRIALS:
        return None
    try:
        import optuna
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    except ImportError:
        return None
    spoken = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is experimental
        study = optuna.create_study(
            storage=optuna.storages.InMemoryStorage(),
            direction="maximize" if results.objectives[0].is_maximized else "minimize",
        )
        distributions = {
            key: _distribution(results, key, [point.values.get(key, "") for point in points]) for key in keys
        }
        for point, value in zip(points, values, strict=True):
            params = {key: _value(point.values.get(key, ""), distributions[key]) for key in keys}
            study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=value))
        try:
            return dict(get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()))
        except (RuntimeError, ValueError):  # too few different values
            return None
        finally:
            optuna.logging.set_verbosity(spoken)


def _distribution(results: SweepResults, key: str, values: Sequence[str]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    numbers = [number for value in values if (number := as_number(value)) is not None]
    if len(numbers) < len(values):
        return CategoricalDistribution(list(dict.fromkeys(values)))
    is_log = key in results.log_keys and min(numbers) > 0
    return FloatDistribution(min(numbers), max(numbers), log=is_log)


def _value(text: str, distribution: Any) -> Any:
    return text if hasattr(distribution, "choices") else float(text)
