"""The study of a search: what its points were given and what they have shown. Launchers ask, ranks report and tell.

Optuna is imported when it is needed, by who needs it. Everything here may take as long as the file system does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yoloscale.config.schema.sweep import Pruner, SearchConfig
from yoloscale.study.journal import Journal
from yoloscale.study.objectives import objectives_of, values_of

if TYPE_CHECKING:
    import optuna

NAME = "search"
PRUNED_AT = "pruned_at"  # a trial's attribute: the epoch after which it was found hopeless
INSTALL = "pip install 'yoloscale[search]'"
FAULTS = (OSError, ValueError, KeyError, RuntimeError, ImportError)  # what the disk, Optuna and its journal raise


class StudyError(Exception):
    """The study is not there, is damaged, or cannot be read here."""


def create(path: Path, search: SearchConfig) -> None:
    """Make the study if it is not there. Raises StudyError."""
    optuna = _optuna()
    try:
        path.touch()
        storage = optuna.storages.JournalStorage(Journal(path))
        directions = list(objectives_of(search).values())
        optuna.create_study(storage=storage, study_name=NAME, directions=directions, load_if_exists=True)
    except Exception as error:
        raise StudyError(f"{path}: {type(error).__name__}: {error}") from error


def load(path: Path, pruner: Any = None) -> optuna.Study:
    """Open a study that is there, to read and to tell; who asks it sets its sampler. Raises StudyError."""
    library = _optuna()
    try:
        storage = library.storages.JournalStorage(Journal(path))
        sampler = library.samplers.RandomSampler()  # one that does nothing when a trial is looked at
        pruner = pruner or library.pruners.NopPruner()
        study: optuna.Study = library.load_study(storage=storage, study_name=NAME, sampler=sampler, pruner=pruner)
    except Exception as error:
        raise StudyError(f"{path}: {type(error).__name__}: {error}") from error
    return study


def pruner_of(search: SearchConfig, epochs: int) -> Any:
    """Optuna's pruner; steps are epochs, counted from 1."""
    pruners = _optuna().pruners
    if search.pruner is Pruner.median:
        return pruners.MedianPruner(max(1, search.startup_trials), n_warmup_steps=search.min_epochs)
    if search.pruner is Pruner.asha:
        return pruners.SuccessiveHalvingPruner(min_resource=search.min_epochs)
    if search.pruner is Pruner.hyperband:
        return pruners.HyperbandPruner(search.min_epochs, max_resource=max(epochs, search.min_epochs))
    return pruners.NopPruner()


def report(study: optuna.Study, number: int, epoch: int, value: float, search: SearchConfig) -> bool:
    """Report a point's objective after an epoch; whether it is hopeless. The same epoch again changes nothing."""
    import optuna

    frozen = study.get_trials(deepcopy=False)[number]
    if frozen.state.is_finished():
        return False
    if PRUNED_AT in frozen.user_attrs and frozen.user_attrs[PRUNED_AT] == epoch:
        return True  # it was killed before that could be saved
    trial = optuna.trial.Trial(study, frozen._trial_id)
    if epoch not in frozen.intermediate_values and math.isfinite(value):
        trial.report(value, epoch)
    if not trial.should_prune() or _ended(study) < search.startup_trials:
        return False
    trial.set_user_attr(PRUNED_AT, epoch)
    return True


def tell_complete(study: optuna.Study, number: int, values: Sequence[float]) -> None:
    """The point is finished. A trial that was told before stays as it is."""
    with _unless_told():
        study.tell(number, list(values), skip_if_finished=True)


def tell_pruned(study: optuna.Study, number: int) -> None:
    """The point was ended early; its value is the last one reported. A trial that was told before stays as it is."""
    import optuna

    with _unless_told():
        study.tell(number, state=optuna.trial.TrialState.PRUNED, skip_if_finished=True)


def tell_failed(study: optuna.Study, number: int, why: str, *attributes: str) -> None:
    """The point has no result; `attributes` are put down with it. A trial that was told before stays as it is."""
    import optuna

    frozen = study.get_trials(deepcopy=False)[number]
    with _unless_told():
        if not frozen.state.is_finished():
            for name, value in {"error": why, **dict.fromkeys(attributes, True)}.items():
                optuna.trial.Trial(study, frozen._trial_id).set_user_attr(name, value)
        study.tell(number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)


def tell_result(study: optuna.Study, number: int, result: Mapping[str, Any], search: SearchConfig) -> str | None:
    """Tell what a finished run has come to, by its result.json; why that cannot be used, where it cannot."""
    if result.get("pruned"):
        tell_pruned(study, number)
        return None
    try:
        values = values_of(result, search)
    except ValueError as error:
        tell_failed(study, number, str(error))
        return str(error)
    tell_complete(study, number, values)
    return None


@contextmanager
def _unless_told() -> Iterator[None]:
    """Of two that tell at the same moment, a launcher and a rank, say, the second one changes nothing."""
    import optuna

    with suppress(optuna.exceptions.UpdateFinishedTrialError):
        yield


def _ended(study: optuna.Study) -> int:
    import optuna

    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return len(study.get_trials(deepcopy=False, states=states))


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise StudyError(f"{error}: {INSTALL}") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
